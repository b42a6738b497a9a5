use crate::maths::{Floats, Real};

/// y[i] = table[ids[i]]
pub fn take_rows<R: Real>(table: Floats<R>, d: usize, ids: &[i32], y: &mut [R]) {
    for (row, &id) in y.chunks_exact_mut(d).zip(ids) {
        for (j, y) in row.iter_mut().enumerate() {
            *y = table.get(id as usize * d + j);
        }
    }
}

/// The backward pass of `take_rows`: y[ids[i]] += g[i]
pub fn scatter_add_rows<R: Real>(g: &[R], d: usize, ids: &[i32], y: &mut [R]) {
    for (row, &id) in g.chunks_exact(d).zip(ids) {
        for (j, &g) in row.iter().enumerate() {
            let at = id as usize * d + j;
            y[at] = y[at] + g;
        }
    }
}
