//! What this CPU can do at most. Each line of standard input is [threads, operations, tries], the last two by default a
//! billion and three; the answer is a line of JSON: GFLOP/s of f32 multiply-adds and, where the CPU has them, of the bf16 dot
//! product and of the matrix unit (AMX) in bf16, the best of so many tries of so many operations on all threads together;
//! GB/s of reading memory.
//!     echo [2] | cargo run --release -p kernels --example roof

use std::time::Instant;

/// What a probe does by default: about 10 ms, so that a busy neighbour spoils one and not all.
const OPERATIONS: usize = 1_000_000_000;
/// Probes of a kind by default.
const TRIES: usize = 3;

/// FLOP of independent operations that never leave the registers.
#[cfg(target_arch = "x86_64")]
mod peak {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    /// Chains that hide the latency of an operation.
    const CHAINS: usize = 12;

    #[target_feature(enable = "avx2,fma")]
    pub fn fma256(operations: usize) -> f64 {
        let turns = operations / (CHAINS * 16);
        let mut sums = [_mm256_setzero_ps(); CHAINS];
        let (x, y) = (_mm256_set1_ps(black_box(1e-3)), _mm256_set1_ps(black_box(0.5)));
        for _ in 0..turns {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(x, y, *sum);
            }
        }
        black_box(sums);
        (turns * CHAINS * 16) as f64
    }

    #[target_feature(enable = "avx512f")]
    pub fn fma512(operations: usize) -> f64 {
        let turns = operations / (CHAINS * 32);
        let mut sums = [_mm512_setzero_ps(); CHAINS];
        let (x, y) = (_mm512_set1_ps(black_box(1e-3)), _mm512_set1_ps(black_box(0.5)));
        for _ in 0..turns {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(x, y, *sum);
            }
        }
        black_box(sums);
        (turns * CHAINS * 32) as f64
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    pub fn bf16(operations: usize) -> f64 {
        let turns = operations / (CHAINS * 64);
        let mut sums = [_mm512_setzero_ps(); CHAINS];
        let x = _mm512_cvtne2ps_pbh(_mm512_set1_ps(black_box(1e-3)), _mm512_set1_ps(0.5));
        for _ in 0..turns {
            for sum in &mut sums {
                *sum = _mm512_dpbf16_ps(*sum, x, x);
            }
        }
        black_box(sums);
        (turns * CHAINS * 64) as f64
    }
}

/// FLOP of the matrix unit on four tiles of sums, as `src/cpu/simd/tiles.rs` uses it.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod tiles {
    use std::arch::asm;
    use std::arch::x86_64::{__cpuid, __cpuid_count};

    /// Operations of four tile products.
    const TURN: usize = 4 * 2 * 16 * 16 * 32;

    pub fn granted() -> bool {
        let has = __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx >> 22 & 5 == 5;
        let refused: i64;
        // SAFETY: arch_prctl(ARCH_REQ_XCOMP_PERM, XTILE_DATA) touches no memory of the process.
        unsafe {
            asm!("syscall", inlateout("rax") 158i64 => refused, in("rdi") 0x1023, in("rsi") 18, out("rcx") _, out("r11") _)
        };
        has && refused == 0
    }

    pub fn bf16(operations: usize) -> f64 {
        let turns = (operations / TURN).max(1);
        let mut shapes = [0u8; 64];
        shapes[0] = 1;
        for tile in 0..8 {
            (shapes[16 + 2 * tile], shapes[48 + tile]) = (64, 16);
        }
        // SAFETY: only where `granted`; nothing else of this thread uses tiles.
        unsafe {
            asm!(
                "ldtilecfg [{shapes}]",
                "2:",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "dec {turns}",
                "jnz 2b",
                "tilerelease",
                shapes = in(reg) shapes.as_ptr(),
                turns = inout(reg) turns => _,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            );
        }
        (turns * TURN) as f64
    }
}

/// Runs `f` of 0 … `threads` − 1 on as many threads at once; billions of their work a second, all together.
fn rate(threads: usize, tries: usize, f: impl Fn(usize) -> f64 + Sync) -> f64 {
    let once = || {
        let (start, f) = (Instant::now(), &f);
        let done: f64 = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|thread| scope.spawn(move || f(thread))).collect();
            workers.into_iter().map(|worker| worker.join().unwrap_or(0.0)).sum()
        });
        done / start.elapsed().as_secs_f64() / 1e9
    };
    (0..tries).map(|_| once()).fold(0.0, f64::max)
}

#[cfg(target_arch = "x86_64")]
fn peaks(threads: usize, operations: usize, tries: usize) -> Vec<(&'static str, f64)> {
    let (mut found, share) = (Vec::new(), operations / threads);
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the feature was just asked for.
        found.push(("fma", rate(threads, tries, |_| unsafe { peak::fma512(share) })));
    } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: as above.
        found.push(("fma", rate(threads, tries, |_| unsafe { peak::fma256(share) })));
    }
    if is_x86_feature_detected!("avx512bf16") {
        // SAFETY: as above.
        found.push(("bf16", rate(threads, tries, |_| unsafe { peak::bf16(share) })));
    }
    #[cfg(target_os = "linux")]
    if tiles::granted() {
        found.push(("tiles", rate(threads, tries, |_| tiles::bf16(share))));
    }
    found
}

#[cfg(not(target_arch = "x86_64"))]
fn peaks(_threads: usize, _operations: usize, _tries: usize) -> Vec<(&'static str, f64)> {
    Vec::new()
}

/// GB/s of reading `data`, each thread an equal part of its own.
fn bandwidth(threads: usize, data: &[u64]) -> f64 {
    let sum =
        |data: &[u64]| data.chunks_exact(8).fold([0u64; 8], |s, x| std::array::from_fn(|i| s[i].wrapping_add(x[i])));
    let length = data.len() / threads;
    rate(threads, TRIES, |thread| {
        let part = &data[thread * length..][..length];
        std::hint::black_box(sum(part));
        std::mem::size_of_val(part) as f64
    })
}

fn main() {
    // 256 MB, which no cache holds.
    let data = vec![1u64; 32 << 20];
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let mut asked = line.trim_matches(['[', ']']).split(',').map_while(|word| word.trim().parse::<usize>().ok());
        let threads = asked.next().unwrap_or(1).max(1);
        let (operations, tries) = (asked.next().unwrap_or(OPERATIONS), asked.next().unwrap_or(TRIES));
        let peaks: String =
            peaks(threads, operations, tries).iter().map(|(name, value)| format!(r#""{name}":{value:.1},"#)).collect();
        println!(r#"{{"threads":{threads},{peaks}"read":{:.1}}}"#, bandwidth(threads, &data));
    }
}
