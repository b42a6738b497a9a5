//! Rotary positions: the first 2P channels of each head turn in the planes (i, i+P).

use super::elementwise::CHUNK;
use super::pool::Pool;
use super::simd::{kernel, Isa};

kernel! {
    /// One row of tokens' heads; `sign` is −1 for the inverse.
    fn rotate<S>(s, x: &[f32], cos: &[f32], sin: &[f32], head_dim: usize, sign: f32, y: &mut [f32]) {
        let pairs = cos.len();
        let sign = s.splat(sign);
        for (x, y) in x.chunks_exact(head_dim).zip(y.chunks_exact_mut(head_dim)) {
            let (x0, x) = x.split_at(pairs);
            let (x1, x_rest) = x.split_at(pairs);
            let (y0, y) = y.split_at_mut(pairs);
            let (y1, y_rest) = y.split_at_mut(pairs);
            y_rest.copy_from_slice(x_rest);
            for (i, (y0, y1)) in y0.chunks_mut(S::LANES).zip(y1.chunks_mut(S::LANES)).enumerate() {
                let at = i * S::LANES;
                let (a, b) = (s.load_part(&x0[at..]), s.load_part(&x1[at..]));
                let (cos, sin) = (s.load_part(&cos[at..]), s.mul(sign, s.load_part(&sin[at..])));
                s.store_part(s.sub(s.mul(a, cos), s.mul(b, sin)), y0);
                s.store_part(s.mul_add(b, cos, s.mul(a, sin)), y1);
            }
        }
    }
}

#[allow(clippy::too_many_arguments)]
pub fn rope(
    isa: Isa,
    pool: &Pool,
    x: &[f32],
    cos: &[f32],
    sin: &[f32],
    pairs: usize,
    head_dim: usize,
    inverse: bool,
    y: &mut [f32],
) {
    if pairs == 0 {
        return y.copy_from_slice(x);
    }
    let width = x.len() / (cos.len() / pairs);
    let rows = CHUNK.div_ceil(width);
    let sign = if inverse { -1.0 } else { 1.0 };
    let angles = cos.chunks(rows * pairs).zip(sin.chunks(rows * pairs));
    let tasks = x.chunks(rows * width).zip(y.chunks_mut(rows * width)).zip(angles).collect();
    type Task<'a> = ((&'a [f32], &'a mut [f32]), (&'a [f32], &'a [f32]));
    pool.each(tasks, |((x, y), (cos, sin)): Task| {
        let rows = x.chunks(width).zip(y.chunks_mut(width));
        for ((x, y), (cos, sin)) in rows.zip(cos.chunks(pairs).zip(sin.chunks(pairs))) {
            rotate(isa, x, cos, sin, head_dim, sign, y);
        }
    });
}
