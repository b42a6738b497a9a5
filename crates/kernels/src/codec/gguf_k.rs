//! The k-quants of GGUF: super-blocks of 256 weights whose groups of 16 or 32 have scales of their own. Each function
//! expands the 32 weights of one run, 0 … 7, of a super-block.

use super::gguf::half_at;

/// Two bits of each of 32 weights; four runs share 32 bytes.
#[inline(always)]
fn two_bits(codes: &[u8], run: usize, i: usize) -> u8 {
    codes[run / 4 * 32 + i] >> (2 * (run % 4)) & 3
}

/// 16 bytes of 4-bit scales and minima, 64 of codes, d, dmin: w = d · scale · code − dmin · min
#[inline(always)]
pub fn q2_k(block: &[u8], run: usize, out: &mut [f32]) {
    let (d, dmin) = (half_at(block, 80), half_at(block, 82));
    for (i, w) in out.iter_mut().enumerate() {
        let scale = block[2 * run + i / 16];
        let code = two_bits(&block[16..], run, i);
        *w = d * f32::from(scale & 15) * f32::from(code) - dmin * f32::from(scale >> 4);
    }
}

/// The scale of a group of 16: four bits and, in the last four of 12 bytes, two more.
#[inline(always)]
pub fn q3_k_scale(scales: &[u8], group: usize) -> f32 {
    let low = scales[group % 8] >> (4 * (group / 8)) & 15;
    let high = scales[8 + group % 4] >> (2 * (group / 4)) & 3;
    f32::from((low | high << 4) as i8 - 32)
}

/// 32 bytes of third bits, 64 of codes, 12 of 6-bit scales, d: w = d · (scale − 32) · (code − 4)
#[inline(always)]
pub fn q3_k(block: &[u8], run: usize, out: &mut [f32]) {
    let (scales, d) = (&block[96..108], half_at(block, 108));
    for (i, w) in out.iter_mut().enumerate() {
        let code = two_bits(&block[32..], run, i) | (block[i] >> run & 1) << 2;
        *w = d * q3_k_scale(scales, 2 * run + i / 16) * f32::from(code as i8 - 4);
    }
}

/// Scale and minimum of a run, six bits each, of 12 bytes.
#[inline(always)]
pub fn six_bits(packed: &[u8], run: usize) -> [u8; 2] {
    match run {
        0..4 => [packed[run] & 63, packed[4 + run] & 63],
        _ => {
            let low = packed[4 + run];
            [low & 15 | packed[run - 4] >> 2 & 0x30, low >> 4 | packed[run] >> 2 & 0x30]
        }
    }
}

/// d, dmin and 12 bytes of 6-bit numbers: d · scale and dmin · min of a run.
fn scale_and_min(block: &[u8], run: usize) -> [f32; 2] {
    let [scale, min] = six_bits(&block[4..16], run).map(f32::from);
    [half_at(block, 0) * scale, half_at(block, 2) * min]
}

/// Four bits of each of 32 weights; two runs share 32 bytes.
#[inline(always)]
fn four_bits(codes: &[u8], run: usize, i: usize) -> u8 {
    codes[run / 2 * 32 + i] >> (4 * (run % 2)) & 15
}

/// scales and minima, 128 bytes of codes: w = scale · code − min
#[inline(always)]
pub fn q4_k(block: &[u8], run: usize, out: &mut [f32]) {
    let [scale, min] = scale_and_min(block, run);
    for (i, w) in out.iter_mut().enumerate() {
        *w = scale * f32::from(four_bits(&block[16..], run, i)) - min;
    }
}

/// scales and minima, 32 bytes of fifth bits, 128 of codes: w = scale · code − min
#[inline(always)]
pub fn q5_k(block: &[u8], run: usize, out: &mut [f32]) {
    let [scale, min] = scale_and_min(block, run);
    for (i, w) in out.iter_mut().enumerate() {
        let code = four_bits(&block[48..], run, i) | (block[16 + i] >> run & 1) << 4;
        *w = scale * f32::from(code) - min;
    }
}

/// 128 bytes of low bits, 64 of high ones, 16 signed scales, d: w = d · scale · (code − 32)
#[inline(always)]
pub fn q6_k(block: &[u8], run: usize, out: &mut [f32]) {
    let d = half_at(block, 208);
    for (i, w) in out.iter_mut().enumerate() {
        let low = block[run / 4 * 64 + run % 2 * 32 + i] >> (run % 4 / 2 * 4) & 15;
        let code = low | two_bits(&block[128..], run, i) << 4;
        let scale = d * f32::from(block[192 + 2 * run + i / 16] as i8);
        *w = scale * f32::from(code as i8 - 32);
    }
}
