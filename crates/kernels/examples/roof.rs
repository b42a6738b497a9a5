//! What this CPU can do at most, and what our products reach of it: one JSON line a probe, rounds interleaved.
//!     cargo run --release -p kernels --example roof -- [rounds]

use kernels::cpu::Cpu;
use kernels::maths::{Floats, Layout, Maths};
use std::time::Instant;

#[cfg(target_arch = "x86_64")]
mod peak {
    use std::arch::x86_64::*;

    const STEPS: usize = 40_000_000;

    /// FLOP of independent multiply-adds that never leave the registers.
    #[target_feature(enable = "avx2,fma")]
    pub fn fma256() -> f64 {
        let mut sums = [_mm256_setzero_ps(); 12];
        let (x, y) = (_mm256_set1_ps(std::hint::black_box(1e-3)), _mm256_set1_ps(std::hint::black_box(0.5)));
        for _ in 0..STEPS / 12 {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(x, y, *sum);
            }
        }
        std::hint::black_box(sums);
        (STEPS / 12 * 12 * 16) as f64
    }

    #[target_feature(enable = "avx512f")]
    pub fn fma512() -> f64 {
        let mut sums = [_mm512_setzero_ps(); 12];
        let (x, y) = (_mm512_set1_ps(std::hint::black_box(1e-3)), _mm512_set1_ps(std::hint::black_box(0.5)));
        for _ in 0..STEPS / 12 {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(x, y, *sum);
            }
        }
        std::hint::black_box(sums);
        (STEPS / 12 * 12 * 32) as f64
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    pub fn bf16() -> f64 {
        let mut sums = [_mm512_setzero_ps(); 12];
        let x = _mm512_cvtne2ps_pbh(_mm512_set1_ps(std::hint::black_box(1e-3)), _mm512_set1_ps(0.5));
        for _ in 0..STEPS / 12 {
            for sum in &mut sums {
                *sum = _mm512_dpbf16_ps(*sum, x, x);
            }
        }
        std::hint::black_box(sums);
        (STEPS / 12 * 12 * 64) as f64
    }
}

/// Runs `f` on `threads` threads at once; work per second of all of them together.
fn rate(threads: usize, f: impl Fn() -> f64 + Sync) -> f64 {
    let start = Instant::now();
    let done: f64 = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(&f)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or(0.0)).sum()
    });
    done / start.elapsed().as_secs_f64()
}

#[cfg(target_arch = "x86_64")]
fn peaks(threads: usize) -> Vec<(&'static str, f64)> {
    let mut found = Vec::new();
    // SAFETY of each: the feature was just asked for.
    if is_x86_feature_detected!("avx512f") {
        found.push(("fma", rate(threads, || unsafe { peak::fma512() }) / 1e9));
    } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        found.push(("fma", rate(threads, || unsafe { peak::fma256() }) / 1e9));
    }
    if is_x86_feature_detected!("avx512bf16") {
        found.push(("bf16", rate(threads, || unsafe { peak::bf16() }) / 1e9));
    }
    found
}

#[cfg(not(target_arch = "x86_64"))]
fn peaks(_threads: usize) -> Vec<(&'static str, f64)> {
    Vec::new()
}

/// GB/s of reading 256 MB a thread.
fn bandwidth(threads: usize) -> f64 {
    let data = vec![1u64; 32 << 20];
    let sum =
        |data: &[u64]| data.chunks_exact(8).fold([0u64; 8], |s, x| std::array::from_fn(|i| s[i].wrapping_add(x[i])));
    rate(threads, || {
        std::hint::black_box(sum(&data));
        (data.len() * 8) as f64
    }) / 1e9
}

fn numbers(length: usize) -> Vec<f32> {
    (0..length).map(|i| ((i * 7919 % 1000) as f32 - 500.0) / 500.0).collect()
}

/// GFLOP/s of one product, the best of a few.
fn product(cpu: &Cpu, layout: Layout, [m, n, k]: [usize; 3], stored: bool) -> f64 {
    let (a, b) = (numbers(m * k), numbers(n * k));
    let half: Vec<_> = b.iter().map(|&x| half::bf16::from_f32(x)).collect();
    let mut c = vec![0.0; m * n];
    let right = || if stored { Floats::Bf16(&half) } else { Floats::Real(&b[..]) };
    let mut best = 0.0f64;
    for _ in 0..4 {
        let start = Instant::now();
        cpu.matmul(layout, m, n, k, 1.0, Floats::Real(&a), right(), &mut c);
        best = best.max(2.0 * (m * n * k) as f64 / start.elapsed().as_secs_f64() / 1e9);
    }
    std::hint::black_box(c);
    best
}

/// (name, [rows, out, in]) of the projections of SmolLM2-135M and of a 1.2B Llama.
const SHAPES: [(&str, [usize; 3]); 6] = [
    ("135M q", [1024, 576, 576]),
    ("135M up", [1024, 1536, 576]),
    ("135M down", [1024, 576, 1536]),
    ("1B q", [512, 2048, 2048]),
    ("1B up", [512, 8192, 2048]),
    ("1B down", [512, 2048, 8192]),
];

fn main() {
    let rounds: usize = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(3);
    for round in 0..rounds {
        for threads in [1, 2] {
            for (name, value) in peaks(threads) {
                println!(r#"{{"round":{round},"threads":{threads},"roof":"{name}","gflops":{value:.1}}}"#);
            }
            println!(r#"{{"round":{round},"threads":{threads},"roof":"read","gbytes":{:.1}}}"#, bandwidth(threads));
            for (dtype, cpu) in [("f32", Cpu::new(threads)), ("bf16", Cpu::new(threads).in_bf16())] {
                for (name, [m, n, k]) in SHAPES {
                    // The forward product of a projection, and the one that takes the gradient back through it.
                    let forward = product(&cpu, Layout::Nt, [m, n, k], dtype == "bf16");
                    let backward = product(&cpu, Layout::Nn, [m, k, n], dtype == "bf16");
                    println!(
                        r#"{{"round":{round},"threads":{threads},"dtype":"{dtype}","shape":"{name}","forward":{forward:.1},"backward":{backward:.1}}}"#
                    );
                }
            }
        }
    }
}
