//! What waited for backward in fewer bits gives the bits that the same numbers give in f32.

use super::super::{Cpu, Isa};
use super::{joined, numbers, ways_in_bf16, zeros};
use crate::maths::{AttentionShape, Floats, Maths, Segment};
use half::{bf16, f16};

/// The same numbers in three dtypes.
struct Kept {
    wide: Vec<f32>,
    bf16: Vec<bf16>,
    f16: Vec<f16>,
}

#[derive(Clone, Copy, Debug)]
enum As {
    F32,
    Bf16,
    F16,
}

impl Kept {
    /// With at most seven bits behind the first and exponents of f16.
    fn new(length: usize, stream: u32) -> Kept {
        let bf16: Vec<_> = numbers::<f32>(length, stream)
            .into_iter()
            .map(|x| bf16::from_f32(if x.abs() < 1e-3 { 0.0 } else { 9.0 * x }))
            .collect();
        let wide: Vec<f32> = bf16.iter().map(|x| x.to_f32()).collect();
        let f16 = wide.iter().map(|&x| f16::from_f32(x)).collect();
        Kept { wide, bf16, f16 }
    }

    fn floats(&self, kind: As) -> Floats<'_, f32> {
        match kind {
            As::F32 => Floats::Real(&self.wide),
            As::Bf16 => Floats::Bf16(&self.bf16),
            As::F16 => Floats::F16(&self.f16),
        }
    }
}

/// Every op that takes `Floats` for what waited, the second of two in `other`.
fn all(maths: &dyn Maths<f32>, length: usize, kind: As, other: As) -> Vec<f64> {
    let (gate, up, g) = (Kept::new(length, 1), Kept::new(length, 2), numbers::<f32>(length, 3));
    assert!(gate.wide.iter().zip(&gate.f16).all(|(&wide, narrow)| wide == narrow.to_f32()));
    let mut y: [Vec<f32>; 6] = std::array::from_fn(|_| zeros(length));
    let (a, b) = (gate.floats(kind), up.floats(other));
    maths.swiglu(a, b, &mut y[0]);
    maths.geglu(a, b, &mut y[1]);
    let [_, _, silu_gate, silu_up, gelu_gate, gelu_up] = &mut y;
    maths.swiglu_backward(&g, a, b, silu_gate, silu_up);
    maths.geglu_backward(&g, a, b, gelu_gate, gelu_up);
    let mut found = joined(&y.each_ref().map(Vec::as_slice));
    for d in [1, 7, 96] {
        let rows = length / d;
        let (x, w, g) = (Kept::new(rows * d, 4), numbers::<f32>(d, 5), numbers::<f32>(rows * d, 6));
        let (mut y, mut rstd, mut dx) = (zeros(rows * d), zeros(rows), zeros(rows * d));
        let (mut acc, mut dw, mut dw_of_sum) = (numbers(rows * d, 7), zeros(d), zeros(d));
        maths.rms_norm(x.floats(kind), &w, 1e-5, &mut y, &mut rstd);
        maths.rms_norm_backward(&g, x.floats(kind), &w, &rstd, &mut dx, Some(&mut dw));
        maths.add_rms_norm_backward(&mut acc, &g, x.floats(kind), &w, &rstd, Some(&mut dw_of_sum));
        found.extend(joined(&[&y, &rstd, &dx, &dw, &acc, &dw_of_sum]));
    }
    found
}

#[test]
fn gates_and_norms() {
    for isa in Isa::available() {
        for threads in [1, 3] {
            let cpu = Cpu::with_isa(threads, isa);
            for length in [1, 96, 5000, 70_001] {
                let wide = all(&cpu, length, As::F32, As::F32);
                for kinds in [[As::Bf16, As::Bf16], [As::F16, As::F16], [As::Bf16, As::F32]] {
                    assert!(all(&cpu, length, kinds[0], kinds[1]) == wide, "{length} as {kinds:?} on {isa:?}");
                }
            }
        }
    }
}

fn attention(maths: &dyn Maths<f32>, n: usize, [heads, key_heads, d]: [usize; 3], kinds: [As; 4]) -> Vec<f64> {
    let queries = n;
    let shape = AttentionShape {
        queries,
        keys: n,
        query_heads: heads,
        key_heads,
        head_dim: d,
        scale: 0.05,
        window: 0,
        soft_cap: 0.0,
    };
    let segments = [Segment { query_start: 0, query_length: n, ranges: vec![(0, n)] }];
    let (q, k, v) = (Kept::new(n * heads * d, 1), Kept::new(n * key_heads * d, 2), Kept::new(n * key_heads * d, 3));
    let (o, g) = (Kept::new(n * heads * d, 4), numbers::<f32>(n * heads * d, 5));
    let (mut out, mut lse) = (zeros(o.wide.len()), zeros(n * heads));
    maths.attention(&q.wide, &k.wide, &v.wide, &segments, shape, &mut out, &mut lse);
    let (mut dq, mut dk, mut dv) = (zeros(q.wide.len()), zeros(k.wide.len()), zeros(k.wide.len()));
    let [of_q, of_k, of_v, of_o] = kinds;
    let (q, k, v, o) = (q.floats(of_q), k.floats(of_k), v.floats(of_v), o.floats(of_o));
    maths.attention_backward(&g, q, k, v, o, &lse, &segments, shape, &mut dq, &mut dk, &mut dv);
    joined(&[&dq, &dk, &dv])
}

#[test]
fn attention_backward() {
    let plain = Isa::available().into_iter().map(|isa| Cpu::with_isa(2, isa));
    let in_bf16 = ways_in_bf16().into_iter().map(|pairs| Cpu { pairs, ..Cpu::new(2) });
    for cpu in plain.chain(in_bf16) {
        for (n, heads) in [(1, [1, 1, 3]), (70, [4, 2, 32]), (300, [3, 1, 5])] {
            let wide = attention(&cpu, n, heads, [As::F32; 4]);
            for kinds in [
                [As::Bf16; 4],
                [As::F16; 4],
                [As::Bf16, As::Bf16, As::Bf16, As::F32],
                [As::F32, As::Bf16, As::F16, As::Bf16],
            ] {
                assert!(attention(&cpu, n, heads, kinds) == wide, "{n} rows, {heads:?}, {kinds:?}");
            }
        }
    }
}
