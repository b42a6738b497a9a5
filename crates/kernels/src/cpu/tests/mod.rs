//! Every op on every instruction set of this machine against the naive maths in f64, judged by the error that the naive
//! maths makes in f32; and the same bits on one, two and three threads.

mod attention;
mod elements;
mod narrow;
mod products;
mod training;

use super::simd::{Pairs, Tiles};
use super::{Cpu, Isa};
use crate::maths::{Maths, Real};
use crate::reference::Naive;
use crate::rng::Key;

/// Compares `op(maths, …)` run by the CPU backend with the same call on the reference.
macro_rules! conforms {
    ($op:ident($($arg:expr),*)) => {
        $crate::cpu::tests::judge(
            &format!("{}{:?}", stringify!($op), ($($arg.clone(),)*)),
            &|maths| $op::<f32>(maths, $($arg.clone()),*),
            &$op::<f64>(&Naive, $($arg.clone()),*),
        )
    };
}
use conforms;

fn judge(name: &str, run: &dyn Fn(&dyn Maths<f32>) -> Vec<f64>, exact: &[f64]) {
    let size = exact.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    let error = |found: &[f64]| found.iter().zip(exact).fold(0.0, |most: f64, (a, b)| most.max((a - b).abs()));
    let allowed = 4.0 * error(&run(&Naive)) + 4e-7 * size;
    for isa in Isa::available() {
        let found = run(&Cpu::with_isa(1, isa));
        assert_eq!(found.len(), exact.len());
        assert!(found.iter().all(|x| x.is_finite()), "{name} on {isa:?} is not finite");
        let off = error(&found);
        assert!(off <= allowed, "{name} on {isa:?} is off by {off:e}, allowed {allowed:e}");
        for threads in [2, 3] {
            assert!(run(&Cpu::with_isa(threads, isa)) == found, "{name} on {isa:?} depends on {threads} threads");
        }
    }
}

/// Numbers in [−1, 1), the same in f32 and f64.
fn numbers<R: Real>(length: usize, stream: u32) -> Vec<R> {
    let key = Key { seed: 7, stream, step: 0, micro: 0, rank: 0 };
    (0..length).map(|i| R::from_f64(f64::from(key.uniform(i as u64)) * 2.0 - 1.0)).collect()
}

fn joined<R: Real>(parts: &[&[R]]) -> Vec<f64> {
    parts.iter().flat_map(|part| part.iter().map(|&x| Real::to_f64(x))).collect()
}

fn zeros<R: Real>(length: usize) -> Vec<R> {
    vec![R::zero(); length]
}

/// What is overwritten must not be read.
fn unset<R: Real>(length: usize) -> Vec<R> {
    vec![R::nan(); length]
}

/// What this machine may multiply in bf16 with: its matrix unit, the plain lines beside it, the dot product.
fn ways_in_bf16() -> Vec<Option<Pairs>> {
    let Some(pairs) = Cpu::new(1).in_bf16().pairs else {
        return vec![None];
    };
    let units = [Tiles::detect(), Some(Tiles::plain()), None];
    units.into_iter().map(|tiles| Some(pairs.with_tiles(tiles))).collect()
}
