//! Every op on every instruction set of this machine against the naive maths in f64, judged by the error that the naive
//! maths makes in f32; and the same bits on one, two and three threads. Long as the contract has ops.

use super::simd::{Pairs, Tiles};
use super::{Cpu, Isa};
use crate::codec::llm_int8::RowCodes;
use crate::codec::{values_of, Blocks, Codec, Coded, Extent};
use crate::dynamic_code::{Quantized, BLOCK};
use crate::maths::{
    Activation, Adafactor, AdamW, AttentionShape, Beta, Binary, Floats, Layout, Lion, Maths, Real, Segment, Sgd, Unary,
};
use crate::reference::Naive;
use crate::rng::Key;

/// Compares `op(maths, …)` run by the CPU backend with the same call on the reference.
macro_rules! conforms {
    ($op:ident($($arg:expr),*)) => {
        judge(
            &format!("{}{:?}", stringify!($op), ($($arg.clone(),)*)),
            &|maths| $op::<f32>(maths, $($arg.clone()),*),
            &$op::<f64>(&Naive, $($arg.clone()),*),
        )
    };
}

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

fn matmul<R: Real>(maths: &dyn Maths<R>, layout: Layout, [m, n, k]: [usize; 3]) -> Vec<f64> {
    let (a, b, mut c) = (numbers(m * k, 1), numbers(n * k, 2), numbers::<R>(m * n, 3));
    maths.matmul(layout, m, n, k, R::from_f64(0.5), Floats::Real(&a), Floats::Real(&b), Beta::Add, &mut c);
    joined(&[&c])
}

fn matmul_stored<R: Real>(maths: &dyn Maths<R>, layout: Layout, [m, n, k]: [usize; 3]) -> Vec<f64> {
    let (a, b) = (numbers::<R>(m * k, 1), numbers::<f32>(n * k, 2));
    let bf16: Vec<_> = b.iter().map(|&x| half::bf16::from_f32(x)).collect();
    let f16: Vec<_> = b.iter().map(|&x| half::f16::from_f32(x)).collect();
    let (mut c, mut e) = (unset::<R>(m * n), unset::<R>(m * n));
    maths.matmul(layout, m, n, k, R::one(), Floats::Real(&a), Floats::Bf16(&bf16), Beta::Overwrite, &mut c);
    maths.matmul(layout, m, n, k, R::one(), Floats::Real(&a), Floats::F16(&f16), Beta::Overwrite, &mut e);
    joined(&[&c, &e])
}

/// Activations up to 8, whose largest are outliers at the threshold.
fn linear_int8<R: Real>(maths: &dyn Maths<R>, threshold: &str, [m, n, k]: [usize; 3]) -> Vec<f64> {
    let a: Vec<R> = numbers::<R>(m * k, 1).into_iter().map(|x| x * x * x * R::from_f64(8.0)).collect();
    let (codec, extent) = (Codec::from_name(threshold).unwrap(), Extent { elements: n * k, columns: k });
    let mut bytes = vec![0; codec.bytes(extent).unwrap()];
    assert!(codec.encode(&values_of(&numbers(n * k, 2)), extent, &mut bytes));
    let w = RowCodes::of(&Coded { codec, bytes: &bytes, extent }).unwrap();
    let mut c = numbers::<R>(m * n, 3);
    maths.linear_int8(m, R::from_f64(0.5), Floats::Real(&a), w, &mut c);
    joined(&[&c])
}

#[test]
fn linear_layers_in_int8_are_right_for_awkward_sizes() {
    let sizes =
        [[1, 1, 1], [1, 33, 70], [3, 50, 17], [7, 4, 100], [13, 67, 5], [5, 9, 64], [50, 300, 401], [261, 40, 256]];
    for size in sizes {
        for threshold in ["llm_int8/0", "llm_int8/6", "llm_int8/0.000001"] {
            conforms!(linear_int8(threshold, size));
        }
    }
}

#[test]
fn products_of_all_layouts_and_awkward_sizes_are_right() {
    let sizes = [[1, 1, 1], [1, 33, 70], [3, 50, 17], [7, 4, 100], [13, 67, 5], [30, 3, 65], [25, 31, 33]];
    // [33, 7, 1000]: a block of rows has four of them on one number of threads and eight on another.
    let large = [[50, 300, 401], [261, 40, 256], [9, 520, 200], [300, 7, 90], [33, 7, 1000]];
    for layout in [Layout::Nn, Layout::Nt, Layout::Tn] {
        for size in sizes.into_iter().chain(large) {
            conforms!(matmul(layout, size));
            conforms!(matmul_stored(layout, size));
        }
    }
}

fn elementwise<R: Real>(maths: &dyn Maths<R>, length: usize) -> Vec<f64> {
    let (a, b, g) = (numbers::<R>(length, 1), numbers::<R>(length, 2), numbers::<R>(length, 3));
    let mut y: [Vec<R>; 12] = std::array::from_fn(|_| zeros(length));
    for (y, kind) in y.iter_mut().zip([Binary::Add, Binary::Sub, Binary::Mul]) {
        maths.binary(kind, &a, &b, y);
    }
    maths.scale(&a, R::from_f64(0.75), &mut y[3]);
    maths.accumulate(&mut y[4], &b, R::from_f64(-2.0));
    let wide: Vec<R> = a.iter().map(|&x| x * R::from_f64(30.0)).collect();
    maths.swiglu(&wide, &b, &mut y[5]);
    let (dgate, dup) = y[6..].split_at_mut(1);
    maths.swiglu_backward(&g, &wide, &b, &mut dgate[0], &mut dup[0]);
    maths.geglu(&wide, &b, &mut y[8]);
    let (dgate, dup) = y[9..].split_at_mut(1);
    maths.geglu_backward(&g, &wide, &b, &mut dgate[0], &mut dup[0]);
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
fn codes_are_expanded_to_the_same_bits_on_every_instruction_set() {
    let gguf = Blocks::ALL.map(Codec::Gguf).into_iter();
    let rows = ["eetq", "llm_int8/6"];
    let others = ["nf4/64", "fp4/32/double", "nf4/128"].into_iter().chain(rows).filter_map(Codec::from_name);
    for codec in gguf.chain(others) {
        let extent = Extent { elements: 1024, columns: 256 };
        let mut bytes: Vec<u8> = (0..codec.bytes(extent).unwrap()).map(|i| (i * 7919 % 251) as u8).collect();
        codec.encode(&values_of(&numbers(1024, 1)), extent, &mut bytes);
        let weight = Coded { codec, bytes: &bytes, extent };
        for (start, length) in [(0, 1024), (1, 1000), (37, 64), (254, 3), (96, 513)] {
            let (mut plain, mut fast) = (vec![0.0; length], vec![0.0; length]);
            weight.expand(start, &mut plain);
            for isa in Isa::available() {
                super::expand::expand(isa, weight, start, &mut fast);
                let same = plain.iter().zip(&fast).all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan());
                assert!(same, "{codec:?} from {start} on {isa:?}");
            }
        }
    }
}

/// Every codec, and where its blocks have f16 numbers: (bytes of a block, places).
fn codecs() -> Vec<(Codec, usize, Vec<usize>)> {
    let gguf = Blocks::ALL.map(|blocks| {
        let extent = Extent { elements: 256, columns: 256 };
        let whole = Codec::Gguf(blocks).bytes(extent).unwrap();
        let (size, places) = match blocks {
            Blocks::Q4_0 | Blocks::Q5_0 | Blocks::Q8_0 | Blocks::Iq4Nl => (whole / 8, vec![0]),
            Blocks::Q4_1 | Blocks::Q5_1 => (whole / 8, vec![0, 2]),
            Blocks::Q2K => (whole, vec![80, 82]),
            Blocks::Q3K => (whole, vec![108]),
            Blocks::Q4K | Blocks::Q5K => (whole, vec![0, 2]),
            Blocks::Q6K => (whole, vec![208]),
        };
        (Codec::Gguf(blocks), size, places)
    });
    let named =
        ["nf4/64", "fp4/32/double", "nf4/128/double", "eetq", "llm_int8/6"].map(|name| Codec::from_name(name).unwrap());
    gguf.into_iter().chain(named.map(|codec| (codec, 1, vec![]))).collect()
}

/// A weight `[n, k]` in a codec: encoded, or where it is only read, any codes with scales between 0.03 and 0.1.
fn coded_bytes(codec: Codec, size: usize, halves: &[usize], [n, k]: [usize; 2]) -> Vec<u8> {
    let extent = Extent { elements: n * k, columns: k };
    let mut bytes: Vec<u8> = (0..codec.bytes(extent).unwrap()).map(|i| (i * 7919 % 251) as u8).collect();
    if !codec.encode(&values_of(&numbers(n * k, 2)), extent, &mut bytes) {
        for block in bytes.chunks_mut(size) {
            halves.iter().for_each(|&at| block[at + 1] = 0x28 | block[at + 1] & 0x83);
        }
    }
    bytes
}

fn matmul_coded<R: Real>(
    maths: &dyn Maths<R>,
    layout: Layout,
    codec: Codec,
    bytes: &[u8],
    [m, n, k]: [usize; 3],
) -> Vec<f64> {
    let columns = if layout == Layout::Nt { k } else { n };
    let b = Coded { codec, bytes, extent: Extent { elements: n * k, columns } };
    let (a, mut c) = (numbers(m * k, 1), numbers::<R>(m * n, 3));
    maths.matmul(layout, m, n, k, R::from_f64(0.5), Floats::Real(&a), Floats::Coded(b), Beta::Add, &mut c);
    joined(&[&c])
}

#[test]
fn products_of_few_rows_with_weights_in_codes_are_right() {
    for (codec, size, halves) in codecs() {
        for (n, k) in [(1, 256), (7, 512), (70, 256)] {
            let bytes = &coded_bytes(codec, size, &halves, [n, k])[..];
            for m in [1, 2, 3, 4, 8, 16] {
                conforms!(matmul_coded(Layout::Nt, codec, bytes, [m, n, k]));
            }
        }
        let bytes = &coded_bytes(codec, size, &halves, [3, 256])[..];
        conforms!(matmul_coded(Layout::Nn, codec, bytes, [2, 256, 3]));
    }
}

/// Rows of 50 numbers begin inside blocks and runs.
#[test]
fn products_with_rows_that_are_no_whole_runs_are_right() {
    for name in ["nf4/64", "fp4/32/double", "eetq", "llm_int8/0"] {
        let codec = Codec::from_name(name).unwrap();
        let bytes = &coded_bytes(codec, 1, &[], [9, 50])[..];
        for m in [1, 3, 8] {
            conforms!(matmul_coded(Layout::Nt, codec, bytes, [m, 9, 50]));
        }
    }
}

/// The products of `matmul` and `matmul_stored`, of operands that have been rounded to bf16 before.
fn matmul_rounded<R: Real>(maths: &dyn Maths<R>, layout: Layout, [m, n, k]: [usize; 3], round: bool) -> Vec<f64> {
    let near = |x: &f32| if round { half::bf16::from_f32(*x).to_f32() } else { *x };
    let wide = |x: &f32| R::from_f64(f64::from(near(x)));
    let (a, b) = (numbers::<f32>(m * k, 1), numbers::<f32>(n * k, 2));
    let stored: Vec<_> = b.iter().map(|&x| half::bf16::from_f32(x)).collect();
    let (a, b): (Vec<R>, Vec<R>) = (a.iter().map(wide).collect(), b.iter().map(wide).collect());
    let (mut c, mut e) = (unset::<R>(m * n), unset::<R>(m * n));
    maths.matmul(layout, m, n, k, R::one(), Floats::Real(&a), Floats::Real(&b), Beta::Overwrite, &mut c);
    maths.matmul(layout, m, n, k, R::one(), Floats::Real(&a), Floats::Bf16(&stored), Beta::Overwrite, &mut e);
    joined(&[&c, &e])
}

#[test]
fn products_in_bf16_are_those_of_rounded_numbers() {
    for layout in [Layout::Nn, Layout::Nt, Layout::Tn] {
        let batches: &[_] = if layout == Layout::Nt { &[[16, 100, 96], [32, 50, 64]] } else { &[] };
        for &size in [[30, 33, 65], [50, 300, 401], [261, 40, 256], [300, 70, 90], [25, 64, 1]].iter().chain(batches) {
            let exact = matmul_rounded::<f64>(&Naive, layout, size, true);
            let largest = exact.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
            for pairs in ways_in_bf16() {
                let found = |threads| matmul_rounded(&Cpu { pairs, ..Cpu::new(threads) }, layout, size, false);
                // A CPU without the dot product multiplies what it is given.
                let allowed = if pairs.is_some() { 1e-6 } else { 1e-2 };
                let found_alone = found(1);
                for (found, exact) in found_alone.iter().zip(&exact) {
                    assert!((found - exact).abs() <= allowed * largest, "{layout:?} {size:?}: {found} for {exact}");
                }
                assert!(found(2) == found_alone && found(3) == found_alone, "{layout:?} {size:?} depends on threads");
            }
        }
    }
}

/// What this machine may multiply in bf16 with: its matrix unit, the plain lines beside it, the dot product.
fn ways_in_bf16() -> Vec<Option<Pairs>> {
    let Some(pairs) = Cpu::new(1).in_bf16().pairs else {
        return vec![None];
    };
    let units = [Tiles::detect(), Some(Tiles::plain()), None];
    units.into_iter().map(|tiles| Some(pairs.with_tiles(tiles))).collect()
}

#[test]
fn the_matrix_unit_does_what_its_plain_lines_say() {
    let Some(pairs) = Cpu::new(1).in_bf16().pairs.filter(|pairs| pairs.tiles().is_some()) else {
        return;
    };
    for layout in [Layout::Nn, Layout::Nt, Layout::Tn] {
        for size in [[64, 64, 512], [33, 65, 700], [300, 70, 90], [16, 100, 96]] {
            let found = |tiles| {
                let cpu = Cpu { pairs: Some(pairs.with_tiles(tiles)), ..Cpu::new(2) };
                matmul_rounded(&cpu, layout, size, false)
            };
            assert!(found(Tiles::detect()) == found(Some(Tiles::plain())), "{layout:?} {size:?}");
        }
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
    maths.rms_norm(&x, &w, R::from_f64(1e-5), &mut y, &mut rstd);
    maths.rms_norm_backward(&g, &x, &w, &rstd, &mut dx, Some(&mut dw));
    joined(&[&y, &dx, &dw])
}

fn add_norm<R: Real>(maths: &dyn Maths<R>, rows: usize, d: usize) -> Vec<f64> {
    let (x, w, g) = (numbers::<R>(rows * d, 1), numbers::<R>(d, 2), numbers::<R>(rows * d, 3));
    let (mut sum, mut dsum) = (numbers::<R>(rows * d, 4), numbers::<R>(rows * d, 5));
    let (mut y, mut rstd, mut dw) = (zeros(rows * d), zeros(rows), zeros(d));
    maths.add_rms_norm(&mut sum, &x, &w, R::from_f64(1e-5), &mut y, &mut rstd);
    maths.add_rms_norm_backward(&mut dsum, &g, &sum, &w, &rstd, Some(&mut dw));
    joined(&[&sum, &y, &dsum, &dw])
}

/// As `add_norm`, op by op.
fn add_then_norm(maths: &dyn Maths<f32>, rows: usize, d: usize) -> Vec<f64> {
    let (x, w, g) = (numbers(rows * d, 1), numbers(d, 2), numbers(rows * d, 3));
    let (mut sum, mut dsum) = (numbers(rows * d, 4), numbers(rows * d, 5));
    let (mut y, mut rstd, mut dx, mut dw) = (zeros(rows * d), zeros(rows), zeros(rows * d), zeros(d));
    maths.accumulate(&mut sum, &x, 1.0);
    maths.rms_norm(&sum, &w, 1e-5, &mut y, &mut rstd);
    maths.rms_norm_backward(&g, &sum, &w, &rstd, &mut dx, Some(&mut dw));
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

/// A plain row, one that continues another's prefix, a decoding query, a row alone.
fn layouts() -> Vec<(usize, Vec<Segment>)> {
    let segment = |query_start, query_length, ranges: &[(usize, usize)]| Segment {
        query_start,
        query_length,
        ranges: ranges.to_vec(),
    };
    vec![
        (1, vec![segment(0, 1, &[(0, 1)])]),
        (37, vec![segment(20, 17, &[(20, 17)]), segment(0, 20, &[(0, 20)])]),
        (
            200,
            vec![
                segment(0, 70, &[(0, 70)]),
                segment(70, 30, &[(0, 70), (70, 30)]),
                segment(100, 99, &[(5, 9), (100, 99)]),
            ],
        ),
        (700, vec![segment(0, 1, &[(0, 700)]), segment(1, 3, &[(300, 333)])]),
        // A batch that decodes.
        (
            300,
            vec![
                segment(4, 1, &[(0, 9), (100, 130)]),
                segment(1, 1, &[(7, 1)]),
                segment(0, 1, &[(0, 300)]),
                segment(2, 1, &[(150, 64)]),
                segment(3, 1, &[(20, 3), (40, 65)]),
            ],
        ),
        (1100, vec![segment(0, 1100, &[(0, 1100)])]),
    ]
}

fn attention<R: Real>(
    maths: &dyn Maths<R>,
    n: usize,
    segments: Vec<Segment>,
    [heads, key_heads, d]: [usize; 3],
    window: usize,
    soft_cap: f64,
) -> Vec<f64> {
    let shape = AttentionShape {
        queries: n,
        keys: n,
        query_heads: heads,
        key_heads,
        head_dim: d,
        scale: 0.6,
        window,
        soft_cap,
    };
    let (q, g) = (numbers::<R>(n * heads * d, 1), numbers::<R>(n * heads * d, 2));
    let (k, v) = (numbers::<R>(n * key_heads * d, 3), numbers::<R>(n * key_heads * d, 4));
    let (mut o, mut lse) = (zeros(q.len()), zeros(n * heads));
    maths.attention(&q, &k, &v, &segments, shape, &mut o, &mut lse);
    let (mut dq, mut dk, mut dv) = (zeros(q.len()), zeros(k.len()), zeros(k.len()));
    maths.attention_backward(&g, &q, &k, &v, &o, &lse, &segments, shape, &mut dq, &mut dk, &mut dv);
    joined(&[&o, &lse, &dq, &dk, &dv])
}

#[test]
fn attention_and_its_gradients_are_right_for_every_layout_of_segments() {
    for (n, segments) in layouts() {
        for heads in [[3, 1, 16], [2, 2, 5], [13, 1, 4]] {
            conforms!(attention(n, segments, heads, 0, 0.0));
        }
    }
}

#[test]
fn attention_in_bf16_is_off_by_what_its_roundings_are() {
    for (n, segments) in layouts() {
        for (heads, window) in [([3, 1, 16], 0), ([2, 2, 5], 50), ([3, 3, 64], 0)] {
            let exact = attention::<f64>(&Naive, n, segments.clone(), heads, window, 0.0);
            // Attention uses the dot product where there is no matrix unit.
            let pairs = ways_in_bf16().pop().flatten();
            let found =
                |threads| attention(&Cpu { pairs, ..Cpu::new(threads) }, n, segments.clone(), heads, window, 0.0);
            let alone = found(1);
            let [query_heads, key_heads, d] = heads;
            let (queries, keys) = (n * query_heads * d, n * key_heads * d);
            let mut at = 0;
            for (output, length) in
                ["o", "lse", "dq", "dk", "dv"].iter().zip([queries, n * query_heads, queries, keys, keys])
            {
                let (found, exact) = (&alone[at..at + length], &exact[at..at + length]);
                at += length;
                // At least ½: gradients of numbers around 1 may cancel to nothing.
                let largest = exact.iter().fold(0.5, |most: f64, x| most.max(x.abs()));
                let apart = found.iter().zip(exact).fold(0.0, |most: f64, (a, b)| most.max((a - b).abs()));
                // A rounding is 2⁻⁹ of a factor; scores of a few units carry theirs into every weight.
                assert!(apart <= largest / 128.0, "{n} {heads:?} {output}: {apart} of {largest}");
            }
            assert!(found(2) == alone && found(3) == alone, "{n} {heads:?} depends on threads");
        }
    }
}

#[test]
fn windows_and_soft_caps_of_attention_are_right_for_every_layout_of_segments() {
    for (n, segments) in layouts() {
        for (window, soft_cap) in [(1, 0.0), (50, 1.5), (64, 0.0), (200, 20.0)] {
            conforms!(attention(n, segments, [3, 1, 16], window, soft_cap));
        }
    }
}

#[test]
fn a_window_of_all_keys_hides_none_and_a_cap_far_above_the_scores_bends_little() {
    for (n, segments) in layouts() {
        let plain = attention::<f64>(&Naive, n, segments.clone(), [2, 1, 8], 0, 0.0);
        assert_eq!(attention::<f64>(&Naive, n, segments.clone(), [2, 1, 8], n, 0.0), plain);
        let capped = attention::<f64>(&Naive, n, segments, [2, 1, 8], 0, 1e6);
        assert!(capped.iter().zip(&plain).all(|(a, b)| (a - b).abs() <= 1e-9 * (1.0 + b.abs())));
    }
}

#[test]
fn a_small_score_keeps_its_digits_under_a_cap() {
    for isa in Isa::available() {
        for x in [1e-7f32, 3e-4, 0.02, 0.6, 3.0, -45.0, 300.0] {
            let mut y = [0.0];
            Cpu::with_isa(1, isa).soft_cap(&[x], 50.0, &mut y);
            let exact = 50.0 * (f64::from(x) / 50.0).tanh();
            assert!(
                (f64::from(y[0]) - exact).abs() <= 4e-7 * exact.abs(),
                "{x} on {isa:?} gives {}, not {exact}",
                y[0]
            );
        }
    }
}

fn head<R: Real>(maths: &dyn Maths<R>, [n, d, vocab]: [usize; 3], soft_cap: f64) -> Vec<f64> {
    let cap = R::from_f64(soft_cap);
    let (h, g) = (numbers::<R>(n * d, 1), numbers::<R>(n, 3));
    let w: Vec<_> = numbers::<f32>(vocab * d, 2).iter().map(|&x| half::bf16::from_f32(x)).collect();
    let labels: Vec<i32> = (0..n).map(|i| if i % 3 == 1 { -100 } else { (i * 2003 % vocab) as i32 }).collect();
    let (mut dh, mut dw, mut gh, mut gw) = (zeros(n * d), zeros(vocab * d), zeros(n * d), zeros(vocab * d));
    let w = Floats::Bf16(&w);
    let loss = maths.linear_cross_entropy(&h, w, &labels, d, vocab, cap, Some(&mut dh), Some(&mut dw));
    assert!(maths.linear_cross_entropy(&h, w, &labels, d, vocab, cap, None, None) == loss);
    let (mut logp, mut lse) = (zeros(n), zeros(n));
    maths.linear_log_prob(&h, w, &labels, d, vocab, cap, &mut logp, &mut lse);
    maths.linear_log_prob_backward(&g, &h, w, &labels, &lse, d, vocab, cap, Some(&mut gh), Some(&mut gw));
    joined(&[&[loss], &dh, &dw, &logp, &gh, &gw])
}

#[test]
fn head_losses_and_their_gradients_are_right() {
    for size in [[1, 3, 2], [2, 5, 17], [40, 33, 1025], [400, 9, 260], [30, 7, 4100]] {
        conforms!(head(size, 0.0));
        conforms!(head(size, 2.0));
    }
}

fn optimizers<R: Real>(maths: &dyn Maths<R>, length: usize) -> Vec<f64> {
    let adamw = AdamW { lr: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.1 };
    let sgd = Sgd { lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 0.01 };
    let (mut p, mut m, mut v) = (numbers::<R>(length, 1), zeros(length), zeros(length));
    let (mut a, mut b, mut buffer) = (p.clone(), p.clone(), zeros(length));
    for t in 1..4 {
        let g = numbers::<R>(length, 10 + t);
        let (t, scale) = (f64::from(t), R::from_f64(0.5));
        maths.adamw(&mut p, &g, &mut m, &mut v, t, scale, adamw);
        maths.sgd(&mut a, &g, Some(&mut buffer), t, scale, sgd);
        maths.sgd(&mut b, &g, None, t, scale, Sgd { momentum: 0.0, nesterov: false, ..sgd });
    }
    joined(&[&p, &m, &v, &a, &b, &buffer])
}

#[test]
fn optimizers_are_right() {
    for length in [1, 17, 70_001] {
        conforms!(optimizers(length));
    }
}

fn lion<R: Real>(maths: &dyn Maths<R>, length: usize) -> Vec<f64> {
    let options = Lion { lr: 0.01, beta1: 0.9, beta2: 0.99, weight_decay: 0.1 };
    let (mut p, mut m) = (numbers::<R>(length, 1), zeros(length));
    for t in 1..4 {
        maths.lion(&mut p, &numbers::<R>(length, 10 + t), &mut m, R::from_f64(0.5), options);
    }
    joined(&[&p, &m])
}

fn adafactor<R: Real>(maths: &dyn Maths<R>, [height, width]: [usize; 2]) -> Vec<f64> {
    let options = Adafactor { lr: 0.01, weight_decay: 0.1, epsilon: 1e-30, clip: 1.0, decay_rate: -0.8 };
    let (mut p, mut rows, mut columns) = (numbers::<R>(height * width, 1), zeros(height), zeros(width));
    let (mut vector, mut moment) = (numbers::<R>(width, 2), zeros(width));
    for t in 1..4 {
        let (g, h) = (numbers::<R>(height * width, 10 + t), numbers::<R>(width, 20 + t));
        let (t, scale) = (f64::from(t), R::from_f64(0.5));
        maths.adafactor(&mut p, &g, Some(&mut rows), &mut columns, t, scale, options);
        maths.adafactor(&mut vector, &h, None, &mut moment, t, scale, options);
    }
    joined(&[&p, &rows, &columns, &vector, &moment])
}

fn adamw_8bit<R: Real>(maths: &dyn Maths<R>, length: usize) -> Vec<f64> {
    let options = AdamW { lr: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.1 };
    let blocks = length.div_ceil(BLOCK);
    let (mut p, mut m, mut v) = (numbers::<R>(length, 1), vec![0; length], vec![0; length]);
    let (mut m_scales, mut v_scales) = (zeros(blocks), zeros(blocks));
    for t in 1..4 {
        let m = Quantized { codes: &mut m, scales: &mut m_scales };
        let v = Quantized { codes: &mut v, scales: &mut v_scales };
        maths.adamw_8bit(&mut p, &numbers::<R>(length, 10 + t), m, v, f64::from(t), R::from_f64(0.5), options);
    }
    let codes: Vec<R> = m.iter().chain(&v).map(|&code| R::from_f64(f64::from(code))).collect();
    joined(&[&p, &codes, &m_scales, &v_scales])
}

#[test]
fn lion_is_right() {
    for length in [1, 17, 70_001] {
        conforms!(lion(length));
    }
}

#[test]
fn adafactor_is_right() {
    for shape in [[1, 1], [3, 17], [300, 129], [2, 40_000]] {
        conforms!(adafactor(shape));
    }
}

#[test]
fn adamw_on_8_bits_is_right() {
    for length in [1, 257, 70_001] {
        conforms!(adamw_8bit(length));
    }
}

#[test]
fn a_sign_is_that_of_any_number_however_small_and_0_of_0() {
    let options = Lion { lr: 1.0, beta1: 0.0, beta2: 0.5, weight_decay: 0.0 };
    let g = [f32::MIN_POSITIVE / 1024.0, -f32::MIN_POSITIVE, 0.0, -0.0, 3e38, -3e38];
    let run = |maths: &dyn Maths<f32>| {
        let (mut p, mut m) = ([0.0; 6], [0.0; 6]);
        maths.lion(&mut p, &g, &mut m, 1.0, options);
        p
    };
    assert_eq!(run(&Naive), [-1.0, 1.0, 0.0, 0.0, -1.0, 1.0]);
    for isa in Isa::available() {
        assert_eq!(run(&Cpu::with_isa(1, isa)), run(&Naive));
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
        Cpu::with_isa(1, isa).swiglu(&gate, &[1.0; 5], &mut y);
        assert!(y[0].is_nan());
        assert_eq!(y[1..], [200.0, 0.0, f32::INFINITY, 0.0]);
    }
}
