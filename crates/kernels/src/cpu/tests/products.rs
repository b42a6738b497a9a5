//! Matrix products, in f32 and bf16 and of weights in codes.

use super::super::simd::Tiles;
use super::super::{expand, Cpu, Isa};
use super::{conforms, joined, numbers, unset, ways_in_bf16};
use crate::codec::llm_int8::RowCodes;
use crate::codec::{values_of, Blocks, Codec, Coded, Extent};
use crate::maths::{Beta, Floats, Layout, LowRank, Maths, Real};
use crate::reference::Naive;

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

/// By a weight in f32 and in bf16, into fresh memory and added to what is there.
fn matmul_low_rank<R: Real>(maths: &dyn Maths<R>, layout: Layout, [m, n, k]: [usize; 3], rank: usize) -> Vec<f64> {
    let (a, b) = (numbers::<R>(m * k, 1), numbers::<R>(n * k, 2));
    let stored: Vec<_> = numbers::<f32>(n * k, 2).iter().map(|&x| half::bf16::from_f32(x)).collect();
    let (u, v) = (numbers::<R>(m * rank, 4), numbers::<R>(n * rank, 5));
    let low = LowRank { u: &u, v: &v, rank, factor: R::from_f64(0.5) };
    let (mut c, mut e) = (numbers::<R>(m * n, 3), unset::<R>(m * n));
    maths.matmul_low_rank(layout, [m, n, k], Floats::Real(&a), Floats::Real(&b), low, Beta::Add, &mut c);
    maths.matmul_low_rank(layout, [m, n, k], Floats::Real(&a), Floats::Bf16(&stored), low, Beta::Overwrite, &mut e);
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
    // [65, 1100, 1024]: two runs of columns, slices of the depth, rows of a padded.
    // [40, 8, 130]: eight rows of a tile, once b and c have changed places.
    let large =
        [[50, 300, 401], [261, 40, 256], [9, 520, 200], [300, 7, 90], [40, 8, 130], [33, 7, 1000], [65, 1100, 1024]];
    for layout in [Layout::Nn, Layout::Nt, Layout::Tn] {
        for size in sizes.into_iter().chain(large) {
            conforms!(matmul(layout, size));
            conforms!(matmul_stored(layout, size));
        }
    }
    for layout in [Layout::Nn, Layout::Nt] {
        for size in sizes.into_iter().chain(large) {
            conforms!(matmul_low_rank(layout, size, 1));
            conforms!(matmul_low_rank(layout, size, 19));
        }
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
                expand::expand(isa, weight, start, &mut fast);
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

/// The products of `matmul` and `matmul_stored`, the first once more with one of low rank beside it, of operands that have been rounded to bf16 before.
fn matmul_rounded<R: Real>(maths: &dyn Maths<R>, layout: Layout, [m, n, k]: [usize; 3], round: bool) -> Vec<f64> {
    let near = |x: &f32| if round { half::bf16::from_f32(*x).to_f32() } else { *x };
    let wide = |x: &f32| R::from_f64(f64::from(near(x)));
    let (a, b) = (numbers::<f32>(m * k, 1), numbers::<f32>(n * k, 2));
    let stored: Vec<_> = b.iter().map(|&x| half::bf16::from_f32(x)).collect();
    let (a, b): (Vec<R>, Vec<R>) = (a.iter().map(wide).collect(), b.iter().map(wide).collect());
    let (mut c, mut e) = (unset::<R>(m * n), unset::<R>(m * n));
    maths.matmul(layout, m, n, k, R::one(), Floats::Real(&a), Floats::Real(&b), Beta::Overwrite, &mut c);
    maths.matmul(layout, m, n, k, R::one(), Floats::Real(&a), Floats::Bf16(&stored), Beta::Overwrite, &mut e);
    if layout == Layout::Tn {
        return joined(&[&c, &e]);
    }
    let (u, v, mut f) = (numbers::<R>(m * 5, 4), numbers::<R>(n * 5, 5), unset::<R>(m * n));
    let low = LowRank { u: &u, v: &v, rank: 5, factor: R::one() };
    maths.matmul_low_rank(layout, [m, n, k], Floats::Real(&a), Floats::Real(&b), low, Beta::Overwrite, &mut f);
    joined(&[&c, &e, &f])
}

#[test]
fn products_in_bf16_are_those_of_rounded_numbers() {
    let sizes = [[30, 33, 65], [50, 300, 401], [261, 40, 256], [300, 70, 90], [25, 64, 1], [65, 1100, 1024]];
    for layout in [Layout::Nn, Layout::Nt, Layout::Tn] {
        let batches: &[_] = if layout == Layout::Nt { &[[16, 100, 96], [32, 50, 64]] } else { &[] };
        for &size in sizes.iter().chain(batches) {
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

#[test]
fn the_matrix_unit_does_what_its_plain_lines_say() {
    let Some(pairs) = Cpu::new(1).in_bf16().pairs.filter(|pairs| pairs.tiles().is_some()) else {
        return;
    };
    for layout in [Layout::Nn, Layout::Nt, Layout::Tn] {
        for size in [[64, 64, 512], [33, 65, 1000], [300, 70, 90], [16, 100, 96]] {
            let found = |tiles| {
                let cpu = Cpu { pairs: Some(pairs.with_tiles(tiles)), ..Cpu::new(2) };
                matmul_rounded(&cpu, layout, size, false)
            };
            assert!(found(Tiles::detect()) == found(Some(Tiles::plain())), "{layout:?} {size:?}");
        }
    }
}
