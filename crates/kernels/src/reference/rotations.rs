//! B square blocks side by side in one matrix `[b, B·b]`, and rows `[N, B·b]` that they multiply.

use crate::maths::{Layout, Real};

/// Places above the diagonal, row by row.
fn above(size: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..size).flat_map(move |i| (i + 1..size).map(move |j| (i, j)))
}

/// q = a − aᵀ for each matrix of a, `size²` numbers or those above the diagonal
pub fn skew<R: Real>(a: &[R], size: usize, q: &mut [R]) {
    let (width, whole) = (q.len() / size, a.len() == q.len());
    for (k, a) in a.chunks_exact(a.len() * size / width).enumerate() {
        for (at, (i, j)) in above(size).enumerate() {
            let value = if whole { a[i * size + j] - a[j * size + i] } else { a[at] };
            q[i * width + k * size + j] = value;
            q[j * width + k * size + i] = -value;
        }
    }
}

/// da = g − gᵀ, whole or above the diagonal
pub fn skew_backward<R: Real>(g: &[R], size: usize, da: &mut [R]) {
    let (width, whole) = (g.len() / size, da.len() == g.len());
    for (k, da) in da.chunks_exact_mut(da.len() * size / width).enumerate() {
        for (at, (i, j)) in above(size).enumerate() {
            let value = g[i * width + k * size + j] - g[j * width + k * size + i];
            if whole {
                da[i * size + j] = value;
                da[j * size + i] = -value;
            } else {
                da[at] = value;
            }
        }
    }
}

/// y = R − I = 2((I + Q)⁻¹ − I) for each block, with R = (I − Q)(I + Q)⁻¹
pub fn cayley<R: Real>(q: &[R], size: usize, y: &mut [R]) {
    let width = q.len() / size;
    for k in 0..width / size {
        let mut m: Vec<R> = (0..size * size).map(|at| q[at / size * width + k * size + at % size]).collect();
        cayley_of(&mut m, size);
        for (row, y) in m.chunks_exact(size).zip(y.chunks_exact_mut(width)) {
            y[k * size..][..size].copy_from_slice(row);
        }
    }
}

/// One Q in place. Gauss–Jordan needs no pivots: xᵀ(I + Q)x = ‖x‖², so no leading part of I + Q is singular.
pub fn cayley_of<R: Real>(m: &mut [R], size: usize) {
    for i in 0..size {
        m[i * size + i] = m[i * size + i] + R::one();
    }
    for p in 0..size {
        let inverse = R::one() / m[p * size + p];
        m[p * size + p] = R::one();
        m[p * size..][..size].iter_mut().for_each(|x| *x = *x * inverse);
        let pivot = m[p * size..][..size].to_vec();
        let others = m.chunks_exact_mut(size).enumerate().filter(|&(i, _)| i != p);
        for (_, row) in others {
            let factor = std::mem::replace(&mut row[p], R::zero());
            row.iter_mut().zip(&pivot).for_each(|(x, &y)| *x = *x - factor * y);
        }
    }
    let two = R::one() + R::one();
    for (at, x) in m.iter_mut().enumerate() {
        let one = if at / size == at % size { R::one() } else { R::zero() };
        *x = two * (*x - one);
    }
}

/// c = op(a) · op(b) for each block
pub fn matmul<R: Real>(layout: Layout, a: &[R], b: &[R], width: usize, size: usize, c: &mut [R]) {
    let depth = if layout == Layout::Tn { a.len() / width } else { size };
    for (at, c) in c.iter_mut().enumerate() {
        let (i, column) = (at / width, at % width);
        let (first, j) = (column - column % size, column % size);
        let a_at = |p: usize| if layout == Layout::Tn { a[p * width + first + i] } else { a[i * width + first + p] };
        let b_at = |p: usize| if layout == Layout::Nt { b[j * width + first + p] } else { b[p * width + column] };
        *c = (0..depth).map(|p| a_at(p) * b_at(p)).sum();
    }
}

/// y[·, j] = x[·, order[j]], or the inverse: y[·, order[j]] = x[·, j]
pub fn permute_columns<R: Real>(x: &[R], order: &[i32], inverse: bool, y: &mut [R]) {
    for (x, y) in x.chunks_exact(order.len()).zip(y.chunks_exact_mut(order.len())) {
        for (j, &from) in order.iter().enumerate() {
            match inverse {
                true => y[from as usize] = x[j],
                false => y[j] = x[from as usize],
            }
        }
    }
}
