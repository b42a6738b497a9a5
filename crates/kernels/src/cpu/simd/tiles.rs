//! Products in bf16 with the CPU's matrix unit (AMX): one instruction multiplies a tile of 16 rows × 16 slots by one of
//! 16 slots × 16 columns and adds to 16 × 16 sums in f32; a slot is two neighbours of the depth (pairs.rs). Four tiles of sums,
//! 32 × 32, stay in registers over the whole depth, and each tile that is loaded meets two others.

use super::{Beta, Block, Isa, Tall};
use std::sync::OnceLock;

/// Rows, columns and slots of a tile.
pub const EDGE: usize = 16;
/// Numbers of a tile.
pub const AREA: usize = EDGE * EDGE;
/// Rows and columns of the sums that registers hold.
pub const SIDE: usize = 2 * EDGE;

/// Proof that this process may use AMX with bf16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiles {
    /// What scales and stores the sums.
    isa: Isa,
    /// For tests on CPUs without AMX: the plain lines below instead.
    plain: bool,
}

/// Strips of 16 rows, `stride` slots apart, in tiles.
#[derive(Clone, Copy)]
pub struct Tiled<'a> {
    pub data: &'a [f32],
    pub stride: usize,
    /// Slots from one row of a tile to the next.
    pub line: usize,
    /// Slots from one tile to the next.
    pub step: usize,
}

impl<'a> Tiled<'a> {
    /// `[strips, depth / 16, 16, 16]`, one tile after another.
    pub fn packed(data: &'a [f32], stride: usize) -> Tiled<'a> {
        Tiled { data, stride, line: EDGE, step: AREA }
    }

    /// Rows of whole tiles as they lie.
    pub fn lying(data: &'a [f32], slots: usize) -> Tiled<'a> {
        Tiled { data, stride: EDGE * slots, line: slots, step: EDGE }
    }

    fn strip(self, i: usize) -> Tiled<'a> {
        Tiled { data: &self.data[i * self.stride..], ..self }
    }

    /// Whether it holds a strip of `k` tiles.
    fn holds(self, k: usize) -> bool {
        (k - 1) * self.step + (EDGE - 1) * self.line + EDGE <= self.data.len()
    }
}

/// Whether b has `k` tiles of depth, 32 columns each.
fn holds(b: Tall, k: usize) -> bool {
    (k * EDGE - 1) * b.stride + SIDE <= b.data.len()
}

#[repr(C, align(64))]
struct Sums([f32; SIDE * SIDE]);

impl Tiles {
    /// Asks the operating system for the unit's registers, once a process.
    pub fn detect() -> Option<Tiles> {
        static GRANTED: OnceLock<bool> = OnceLock::new();
        GRANTED.get_or_init(unit::granted).then(|| Tiles { isa: Isa::best(), plain: false })
    }

    /// What the unit does, in plain Rust.
    #[cfg(test)]
    pub fn plain() -> Tiles {
        Tiles { isa: Isa::best(), plain: true }
    }

    /// c = alpha · a · b, or added to c, over `k` tiles of depth; b `[16k, 32]` slots.
    pub fn product(self, alpha: f32, k: usize, a: Tiled, b: Tall, c: &mut Block, beta: Beta) {
        let (m, n) = (c.rows(), c.columns());
        if m == 0 || n == 0 {
            return;
        }
        let strips = m.div_ceil(EDGE);
        assert!(n <= SIDE && k > 0 && holds(b, k));
        let mut sums: Option<Sums> = None;
        let unit = (!self.plain).then(unit::Configured::new);
        for first in (0..strips).step_by(2) {
            let second = (first + 1).min(strips - 1);
            let (above, below) = (a.strip(first), a.strip(second));
            let rows = first * EDGE..m.min((first + 2) * EDGE);
            let mut c = c.part(rows, 0..n);
            let make = |c: &mut Block, beta| match &unit {
                Some(unit) => unit.sums(k, above, below, b, c, beta),
                None => sums_in_plain_rust(k, above, below, b, c, beta),
            };
            // A product with 1 is the sum itself, which may begin with what is there.
            if alpha == 1.0 && (c.rows(), n) == (SIDE, SIDE) {
                make(&mut c, beta);
                continue;
            }
            #[allow(clippy::unnecessary_lazy_evaluations)] // Four KiB that most products do not need.
            let sums = &mut sums.get_or_insert_with(|| Sums([0.0; SIDE * SIDE])).0;
            make(&mut Block::new(sums, SIDE), Beta::Overwrite);
            finish(self.isa, alpha, sums, &mut c, beta);
        }
    }
}

super::kernel! {
    /// c = alpha · the first rows and columns of sums `[32, 32]`, or added to c.
    fn finish<S>(s, alpha: f32, sums: &[f32], c: &mut Block, beta: Beta) {
        let alpha = s.splat(alpha);
        for (i, sums) in sums.chunks_exact(SIDE).enumerate().take(c.rows()) {
            for (sums, c) in sums.chunks_exact(S::LANES).zip(c.row(i).chunks_mut(S::LANES)) {
                let sum = s.load(sums);
                let value = match beta {
                    Beta::Overwrite => s.mul(alpha, sum),
                    Beta::Add => s.mul_add(alpha, sum, s.load_part(c)),
                };
                s.store_part(value, c);
            }
        }
    }
}

/// sums `[32, 32]` = the first strips of `above` and `below`, `k` tiles of each, times b `[16k, 32]` slots, or added to sums.
fn sums_in_plain_rust(k: usize, above: Tiled, below: Tiled, b: Tall, sums: &mut Block, beta: Beta) {
    let halves = |slot: f32| [slot.to_bits() << 16, slot.to_bits() & 0xffff_0000].map(f32::from_bits);
    for (half, a) in [above, below].into_iter().enumerate() {
        for i in 0..EDGE {
            let sums = sums.row(half * EDGE + i);
            if beta == Beta::Overwrite {
                sums.fill(0.0);
            }
            for tile in 0..k {
                for (j, sum) in sums.iter_mut().enumerate() {
                    // Even and odd numbers of the depth have sums of their own in a tile, and meet at its end.
                    let mut parts = [0.0f32; 2];
                    for (p, slot) in a.data[tile * a.step + i * a.line..][..EDGE].iter().enumerate() {
                        let other = b.data[(tile * EDGE + p) * b.stride + j];
                        for ((part, x), y) in parts.iter_mut().zip(halves(*slot)).zip(halves(other)) {
                            *part = x.mul_add(y, *part);
                        }
                    }
                    *sum += parts[0] + parts[1];
                }
            }
        }
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod unit {
    use super::{holds, Beta, Block, Tall, Tiled, EDGE, SIDE};
    use std::arch::asm;
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    use std::marker::PhantomData;

    const SYS_ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
    /// The part of a thread's state that holds tiles.
    const XTILE_DATA: i64 = 18;
    /// amx-bf16 and amx-tile, in edx of leaf 7.
    const AMX: u32 = 1 << 22 | 1 << 24;

    /// Whether the CPU has the unit and the kernel lets this process use it.
    pub fn granted() -> bool {
        let has = __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & AMX == AMX;
        has && permission() == 0
    }

    /// Linux gives the unit to processes that ask; before 5.16, and where nobody may have it, this is an error.
    fn permission() -> i64 {
        let result: i64;
        // SAFETY: a system call that grants the process a feature and touches no memory of it.
        unsafe {
            asm!(
                "syscall",
                inlateout("rax") SYS_ARCH_PRCTL => result,
                in("rdi") ARCH_REQ_XCOMP_PERM,
                in("rsi") XTILE_DATA,
                out("rcx") _,
                out("r11") _,
                options(nostack),
            );
        }
        result
    }

    /// Palette 1, eight tiles of 16 rows of 64 bytes.
    #[repr(C, align(64))]
    struct Shapes {
        palette: u8,
        start_row: u8,
        reserved: [u8; 14],
        row_bytes: [u16; 16],
        rows: [u8; 16],
    }

    static SHAPES: Shapes = {
        let (mut row_bytes, mut rows, mut i) = ([0; 16], [0; 16], 0);
        while i < 8 {
            (row_bytes[i], rows[i]) = (4 * EDGE as u16, EDGE as u8);
            i += 1;
        }
        Shapes { palette: 1, start_row: 0, reserved: [0; 14], row_bytes, rows }
    };

    /// The unit of this thread, its tiles shaped, until dropped: then a switch of threads has no tiles to save.
    pub struct Configured(PhantomData<*const ()>);

    impl Configured {
        /// Only where `granted`.
        pub fn new() -> Configured {
            // SAFETY: a `Tiles` that is not plain exists only where the unit was granted.
            unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const SHAPES, options(nostack)) };
            Configured(PhantomData)
        }

        /// sums `[32, 32]` = the first strips of `above` and `below`, `k` tiles of each, times b `[16k, 32]` slots, or added
        /// to sums.
        pub fn sums(&self, k: usize, above: Tiled, below: Tiled, b: Tall, sums: &mut Block, beta: Beta) {
            assert!(k > 0 && above.holds(k) && below.holds(k) && (above.line, above.step) == (below.line, below.step));
            assert!(holds(b, k) && (sums.rows(), sums.columns()) == (SIDE, SIDE));
            // SAFETY: as asserted; the tiles are this block's from `new` on, as no other code of the thread knows of them.
            unsafe {
                asm!(
                    "test {added}, {added}",
                    "jnz 3f",
                    "tilezero tmm0",
                    "tilezero tmm1",
                    "tilezero tmm2",
                    "tilezero tmm3",
                    "jmp 2f",
                    "3:",
                    "tileloadd tmm0, [{sums} + {stride}]",
                    "tileloadd tmm1, [{sums} + {stride} + 64]",
                    "tileloadd tmm2, [{lower} + {stride}]",
                    "tileloadd tmm3, [{lower} + {stride} + 64]",
                    "2:",
                    "tileloadd tmm4, [{above} + {line}]",
                    "tileloadd tmm6, [{b} + {row}]",
                    "tileloadd tmm7, [{b} + {row} + 64]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tileloadd tmm5, [{below} + {line}]",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                    "add {above}, {step}",
                    "add {below}, {step}",
                    "add {b}, {b_step}",
                    "dec {k}",
                    "jnz 2b",
                    "tilestored [{sums} + {stride}], tmm0",
                    "tilestored [{sums} + {stride} + 64], tmm1",
                    "tilestored [{lower} + {stride}], tmm2",
                    "tilestored [{lower} + {stride} + 64], tmm3",
                    above = inout(reg) above.data.as_ptr() => _,
                    below = inout(reg) below.data.as_ptr() => _,
                    b = inout(reg) b.data.as_ptr() => _,
                    k = inout(reg) k => _,
                    sums = in(reg) sums.as_mut_ptr(),
                    lower = in(reg) sums.as_mut_ptr().add(EDGE * sums.stride()),
                    stride = in(reg) 4 * sums.stride(),
                    row = in(reg) 4 * b.stride,
                    added = in(reg) u64::from(beta == Beta::Add),
                    b_step = in(reg) 4 * EDGE * b.stride,
                    line = in(reg) 4 * above.line,
                    step = in(reg) 4 * above.step,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack),
                );
            }
        }
    }

    impl Drop for Configured {
        fn drop(&mut self) {
            // SAFETY: only where the unit was granted, as `new`.
            unsafe { asm!("tilerelease", options(nostack)) };
        }
    }
}

/// Elsewhere processes are not known to get the unit.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
mod unit {
    use super::{Beta, Block, Tall, Tiled};

    pub fn granted() -> bool {
        false
    }

    pub enum Configured {}

    impl Configured {
        pub fn new() -> Configured {
            unreachable!("a token that nobody holds")
        }

        pub fn sums(&self, _k: usize, _above: Tiled, _below: Tiled, _b: Tall, _sums: &mut Block, _beta: Beta) {
            match *self {}
        }
    }
}
