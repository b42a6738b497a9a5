//! Counter-based randomness: Philox4x32-10 (Salmon et al. 2011), the same numbers on every backend.
//! key = (seed mod 2³² , stream xor (seed div 2³²)); counter = (block mod 2³², (block div 2³²) | rank·2¹⁶, step, micro),
//! block = element div 4; lane = element mod 4.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    pub seed: u64,
    pub stream: u32,
    pub step: u32,
    pub micro: u32,
    pub rank: u16,
}

pub(crate) const M0: u32 = 0xD251_1F53;
pub(crate) const M1: u32 = 0xCD9E_8D57;
pub(crate) const W0: u32 = 0x9E37_79B9;
pub(crate) const W1: u32 = 0xBB67_AE85;

fn mul_hi_lo(a: u32, b: u32) -> (u32, u32) {
    let product = u64::from(a) * u64::from(b);
    ((product >> 32) as u32, product as u32)
}

/// Ten rounds of Philox on one counter.
pub fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let (hi0, lo0) = mul_hi_lo(M0, counter[0]);
        let (hi1, lo1) = mul_hi_lo(M1, counter[2]);
        counter = [hi1 ^ counter[1] ^ key[0], lo1, hi0 ^ counter[3] ^ key[1], lo0];
        key = [key[0].wrapping_add(W0), key[1].wrapping_add(W1)];
    }
    counter
}

impl Key {
    /// Four words for elements 4·block … 4·block+3.
    pub fn block(&self, block: u64) -> [u32; 4] {
        let key = [self.seed as u32, self.stream ^ (self.seed >> 32) as u32];
        let high = ((block >> 32) as u32 & 0xFFFF) | (u32::from(self.rank) << 16);
        philox([block as u32, high, self.step, self.micro], key)
    }

    /// Uniform in [0, 1) with 24 random bits.
    pub fn uniform(&self, element: u64) -> f32 {
        unit(self.block(element >> 2)[(element & 3) as usize])
    }
}

/// 24 high bits → [0, 1), exact in f32.
pub fn unit(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// Standard normals of elements 4·block … 4·block+3 (Box–Muller on lane pairs, in f64).
pub fn normals(words: [u32; 4]) -> [f64; 4] {
    let pair = |a: u32, b: u32| {
        let radius = (-2.0 * ((f64::from(a >> 8) + 1.0) / 16_777_216.0).ln()).sqrt();
        let angle = std::f64::consts::TAU * f64::from(b >> 8) / 16_777_216.0;
        (radius * angle.cos(), radius * angle.sin())
    };
    let ((a, b), (c, d)) = (pair(words[0], words[1]), pair(words[2], words[3]));
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::philox;

    /// Known answers of the Random123 distribution (kat_vectors, philox4x32 10).
    #[test]
    fn philox_gives_the_published_vectors() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    }
}
