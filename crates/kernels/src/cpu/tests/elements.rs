//! Ops on single numbers, on rows and on pairs of columns.

use super::super::{Cpu, Isa};
use super::{conforms, joined, numbers, zeros};
use crate::maths::{Activation, Binary, Floats, Layout, Maths, Real, Unary};
use crate::reference::Naive;
use crate::rng::Key;

fn elementwise<R: Real>(maths: &dyn Maths<R>, length: usize) -> Vec<f64> {
    let (a, b, g) = (numbers::<R>(length, 1), numbers::<R>(length, 2), numbers::<R>(length, 3));
    let mut y: [Vec<R>; 12] = std::array::from_fn(|_| zeros(length));
    for (y, kind) in y.iter_mut().zip([Binary::Add, Binary::Sub, Binary::Mul]) {
        maths.binary(kind, &a, &b, y);
    }
    maths.scale(&a, R::from_f64(0.75), &mut y[3]);
    maths.accumulate(&mut y[4], &b, R::from_f64(-2.0));
    let wide: Vec<R> = a.iter().map(|&x| x * R::from_f64(30.0)).collect();
    let (gate, up) = (Floats::Real(&wide[..]), Floats::Real(&b[..]));
    maths.swiglu(gate, up, &mut y[5]);
    let (dgate, dup) = y[6..].split_at_mut(1);
    maths.swiglu_backward(&g, gate, up, &mut dgate[0], &mut dup[0]);
    maths.geglu(gate, up, &mut y[8]);
    let (dgate, dup) = y[9..].split_at_mut(1);
    maths.geglu_backward(&g, gate, up, &mut dgate[0], &mut dup[0]);
    maths.soft_cap(&wide, R::from_f64(7.0), &mut y[11]);
    joined(&y.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

fn activations<R: Real>(maths: &dyn Maths<R>, length: usize) -> Vec<f64> {
    let (g, x) = (numbers::<R>(length, 1), numbers::<R>(length, 2));
    let wide: Vec<R> = x.iter().map(|&x| x * R::from_f64(20.0)).collect();
    let mut all = Vec::new();
    for kind in [Activation::Relu, Activation::Silu, Activation::Tanh] {
        let (mut y, mut dx) = (zeros::<R>(length), zeros::<R>(length));
        maths.activate(kind, &wide, &mut y);
        maths.activate_backward(kind, &g, &wide, &mut dx);
        all.extend(joined(&[&y, &dx]));
    }
    all
}

#[test]
fn conversion_to_bf16_rounds_as_the_half_crate_does() {
    let patterns =
        (0..=u16::MAX).flat_map(|high| [0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF].map(|low| u32::from(high) << 16 | low));
    let x: Vec<f32> = patterns.map(f32::from_bits).collect();
    let bits = |y: &[half::bf16]| y.iter().map(|y| y.to_bits()).collect::<Vec<_>>();
    let exact: Vec<_> = x.iter().map(|&x| half::bf16::from_f32(x)).collect();
    for isa in Isa::available() {
        let (cpu, mut y, mut back) = (Cpu::with_isa(2, isa), vec![half::bf16::ZERO; x.len()], vec![0.0; x.len()]);
        cpu.narrow(&x, &mut y);
        assert!(bits(&y) == bits(&exact), "{isa:?}");
        cpu.widen(&y, &mut back);
        assert!(back.iter().zip(&exact).all(|(a, b)| a.to_bits() == b.to_f32().to_bits()), "{isa:?}");
    }
}

#[test]
fn activations_and_their_gradients_are_right() {
    for length in [1, 7, 100, 70_000] {
        conforms!(activations(length));
    }
}

fn rotations<R: Real>(maths: &dyn Maths<R>, [n, size, count]: [usize; 3]) -> Vec<f64> {
    let width = count * size;
    let (a, x, g) = (numbers::<R>(count * size * size, 1), numbers::<R>(n * width, 2), numbers::<R>(n * width, 3));
    let (mut q, mut y) = (zeros::<R>(size * width), zeros::<R>(size * width));
    maths.skew_blocks(&a, size, &mut q);
    maths.cayley_blocks(&q, size, &mut y);
    let mut products = [zeros::<R>(n * width), zeros(n * width), zeros(size * width)];
    maths.matmul_blocks(Layout::Nn, &x, &y, width, size, &mut products[0]);
    maths.matmul_blocks(Layout::Nt, &x, &y, width, size, &mut products[1]);
    maths.matmul_blocks(Layout::Tn, &x, &g, width, size, &mut products[2]);
    let [nn, nt, tn] = &products;
    joined(&[&q, &y, nn, nt, tn])
}

#[test]
fn rotations_of_awkward_sizes_are_right() {
    for shape in [[1, 1, 1], [3, 2, 5], [7, 4, 36], [130, 33, 3], [250, 32, 18], [5, 70, 2]] {
        conforms!(rotations(shape));
    }
}

fn permuted<R: Real>(maths: &dyn Maths<R>, [n, d]: [usize; 2]) -> Vec<f64> {
    let x = numbers::<R>(n * d, 1);
    let order: Vec<i32> = (0..d).map(|i| (i * 1009 % d) as i32).collect();
    let (mut y, mut z) = (zeros::<R>(n * d), zeros::<R>(n * d));
    maths.permute_columns(&x, &order, false, &mut y);
    maths.permute_columns(&x, &order, true, &mut z);
    joined(&[&y, &z])
}

#[test]
fn permuted_columns_are_right() {
    for shape in [[1, 1], [3, 50], [300, 257]] {
        conforms!(permuted(shape));
    }
}

fn unary<R: Real>(maths: &dyn Maths<R>, kind: Unary, length: usize) -> Vec<f64> {
    let sign = if kind == Unary::Sqrt { -40.0 } else { 40.0 };
    let x: Vec<R> = numbers::<R>(length, 1).iter().map(|&x| (x - R::one()) * R::from_f64(sign)).collect();
    let mut y = zeros::<R>(length);
    maths.unary(kind, &x, &mut y);
    joined(&[&y])
}

#[test]
fn functions_of_one_number_are_right() {
    for kind in [Unary::Exp, Unary::LogSigmoid, Unary::LogOneMinusExp, Unary::Sqrt, Unary::Step] {
        for length in [1, 7, 70_000] {
            conforms!(unary(kind, length));
        }
    }
}

fn sums<R: Real>(maths: &dyn Maths<R>, rows: usize, d: usize) -> Vec<f64> {
    let x = numbers::<R>(rows * d, 1);
    let (mut columns, mut y) = (zeros::<R>(d), zeros::<R>(rows * d));
    maths.sum_rows(&x, d, &mut columns);
    maths.binary(Binary::Add, &x, &x[..d], &mut y);
    let mut all = joined(&[&columns, &y]);
    all.extend([Real::to_f64(maths.sum(&x)), maths.sum_of_squares(&x)]);
    all
}

#[test]
fn elementwise_ops_and_sums_are_right() {
    for length in [1, 15, 17, 1000, 70_001] {
        conforms!(elementwise(length));
    }
    for (rows, d) in [(1, 1), (1, 5), (3, 17), (300, 333)] {
        conforms!(sums(rows, d));
    }
}

fn places<R: Real>(maths: &dyn Maths<R>, rows: usize, d: usize, odd: &[(usize, f64)]) -> Vec<f64> {
    let mut x = numbers::<R>(rows * d, 1);
    for &(i, value) in odd {
        x[i % (rows * d)] = R::from_f64(value);
    }
    let (mut index, mut value) = (vec![0; rows], zeros::<R>(rows));
    maths.argmax(&x, d, &mut index, &mut value);
    let values = value.iter().map(|x| if x.is_nan() { 1e30 } else { Real::to_f64(*x) });
    index.iter().map(|&i| f64::from(i)).chain(values).collect()
}

#[test]
fn the_first_largest_of_each_row_is_found() {
    let (nan, infinity) = (f64::NAN, f64::INFINITY);
    for (rows, d) in [(1, 1), (3, 17), (300, 333), (2, 40_001)] {
        for odd in [
            &[][..],
            &[(0, 9.0), (d - 1, 9.0), (d / 2, 9.0)],
            &[(d / 2, nan), (d - 1, infinity), (d - 1, nan)],
            &[(d / 3, -infinity), (2 * d / 3, infinity), (d - 1, infinity)],
        ] {
            let truth = places::<f64>(&Naive, rows, d, odd);
            for isa in Isa::available() {
                for threads in [1, 3] {
                    let ours = places::<f32>(&Cpu::with_isa(threads, isa), rows, d, odd);
                    assert_eq!(ours[..rows], truth[..rows], "{rows} × {d} on {isa:?}");
                    assert_eq!(ours, places::<f32>(&Naive, rows, d, odd), "{rows} × {d} on {isa:?}");
                }
            }
        }
    }
}

fn norm<R: Real>(maths: &dyn Maths<R>, rows: usize, d: usize) -> Vec<f64> {
    let (x, w, g) = (numbers::<R>(rows * d, 1), numbers::<R>(d, 2), numbers::<R>(rows * d, 3));
    let (mut y, mut rstd, mut dx, mut dw) = (zeros(rows * d), zeros(rows), zeros(rows * d), zeros(d));
    maths.rms_norm(Floats::Real(&x), &w, R::from_f64(1e-5), &mut y, &mut rstd);
    maths.rms_norm_backward(&g, Floats::Real(&x), &w, &rstd, &mut dx, Some(&mut dw));
    joined(&[&y, &dx, &dw])
}

fn add_norm<R: Real>(maths: &dyn Maths<R>, rows: usize, d: usize) -> Vec<f64> {
    let (x, w, g) = (numbers::<R>(rows * d, 1), numbers::<R>(d, 2), numbers::<R>(rows * d, 3));
    let (mut sum, mut dsum) = (numbers::<R>(rows * d, 4), numbers::<R>(rows * d, 5));
    let (mut y, mut rstd, mut dw) = (zeros(rows * d), zeros(rows), zeros(d));
    maths.add_rms_norm(&mut sum, &x, &w, R::from_f64(1e-5), &mut y, &mut rstd);
    maths.add_rms_norm_backward(&mut dsum, &g, Floats::Real(&sum), &w, &rstd, Some(&mut dw));
    joined(&[&sum, &y, &dsum, &dw])
}

/// As `add_norm`, op by op.
fn add_then_norm(maths: &dyn Maths<f32>, rows: usize, d: usize) -> Vec<f64> {
    let (x, w, g) = (numbers(rows * d, 1), numbers(d, 2), numbers(rows * d, 3));
    let (mut sum, mut dsum) = (numbers(rows * d, 4), numbers(rows * d, 5));
    let (mut y, mut rstd, mut dx, mut dw) = (zeros(rows * d), zeros(rows), zeros(rows * d), zeros(d));
    maths.accumulate(&mut sum, &x, 1.0);
    maths.rms_norm(Floats::Real(&sum), &w, 1e-5, &mut y, &mut rstd);
    maths.rms_norm_backward(&g, Floats::Real(&sum), &w, &rstd, &mut dx, Some(&mut dw));
    maths.accumulate(&mut dsum, &dx, 1.0);
    joined(&[&sum, &y, &dsum, &dw])
}

#[test]
fn a_residual_sum_with_its_norm_has_the_bits_of_the_two() {
    for isa in Isa::available() {
        let cpu = Cpu::with_isa(2, isa);
        for (rows, d) in [(1, 1), (3, 17), (130, 333), (70, 576)] {
            assert!(add_norm(&cpu, rows, d) == add_then_norm(&cpu, rows, d), "{rows} × {d} on {isa:?}");
        }
    }
}

fn rotation<R: Real>(maths: &dyn Maths<R>, [rows, heads, d, pairs]: [usize; 4]) -> Vec<f64> {
    let x = numbers::<R>(rows * heads * d, 1);
    let (cos, sin) = (numbers::<R>(rows * pairs, 2), numbers::<R>(rows * pairs, 3));
    let (mut y, mut z) = (zeros(x.len()), zeros(x.len()));
    maths.rope(&x, &cos, &sin, pairs, d, false, &mut y);
    maths.rope(&x, &cos, &sin, pairs, d, true, &mut z);
    joined(&[&y, &z])
}

fn rows<R: Real>(maths: &dyn Maths<R>, count: usize, d: usize) -> Vec<f64> {
    let (table, g) = (numbers::<R>(50 * d, 1), numbers::<R>(count * d, 2));
    let ids: Vec<i32> = (0..count).map(|i| (i * i % 47) as i32).collect();
    let (mut y, mut z) = (zeros(count * d), zeros(50 * d));
    maths.take_rows(Floats::Real(&table), d, &ids, &mut y);
    maths.scatter_add_rows(&g, d, &ids, &mut z);
    joined(&[&y, &z])
}

#[test]
fn norms_rotations_and_rows_are_right() {
    for (count, d) in [(1, 1), (3, 17), (130, 333), (70, 576)] {
        conforms!(norm(count, d));
        conforms!(add_norm(count, d));
        conforms!(rows(count, d));
    }
    for size in [[1, 1, 2, 1], [5, 3, 16, 8], [40, 2, 70, 20], [600, 3, 64, 32]] {
        conforms!(rotation(size));
    }
}

#[test]
fn dropout_keeps_and_scales_exactly_the_elements_the_reference_keeps() {
    let key = Key { seed: 1 << 40, stream: 3, step: 4, micro: 5, rank: 6 };
    let x = numbers::<f32>(70_003, 1);
    let run = |maths: &dyn Maths<f32>, p: f64| {
        let mut y = vec![0.0; x.len()];
        maths.dropout(&x, p, key, &mut y);
        y
    };
    for isa in Isa::available() {
        for (p, threads) in [(0.1, 1), (0.5, 2), (0.0, 3)] {
            assert_eq!(run(&Cpu::with_isa(threads, isa), p), run(&Naive, p));
        }
    }
}

#[test]
fn a_gate_that_is_not_a_number_stays_so_and_huge_ones_saturate() {
    for isa in Isa::available() {
        let mut y = [0.0; 5];
        let gate = [f32::NAN, 200.0, -200.0, f32::INFINITY, 0.0];
        Cpu::with_isa(1, isa).swiglu(Floats::Real(&gate), Floats::Real(&[1.0; 5]), &mut y);
        assert!(y[0].is_nan());
        assert_eq!(y[1..], [200.0, 0.0, f32::INFINITY, 0.0]);
    }
}
