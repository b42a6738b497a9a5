use crate::maths::{Beta, Floats, Layout, Real};

/// c[i, j] = alpha · Σₖ op(a)[i, k] · op(b)[k, j], or added to c
#[allow(clippy::too_many_arguments)]
pub fn matmul<R: Real>(
    layout: Layout,
    [m, n, k]: [usize; 3],
    alpha: R,
    a: Floats<R>,
    b: Floats<R>,
    beta: Beta,
    c: &mut [R],
) {
    let a_at = |i: usize, p: usize| if layout == Layout::Tn { a.get(p * m + i) } else { a.get(i * k + p) };
    let b_at = |p: usize, j: usize| if layout == Layout::Nt { b.get(j * k + p) } else { b.get(p * n + j) };
    for i in 0..m {
        for j in 0..n {
            let product: R = (0..k).map(|p| a_at(i, p) * b_at(p, j)).sum();
            let old = if beta == Beta::Add { c[i * n + j] } else { R::zero() };
            c[i * n + j] = old + alpha * product;
        }
    }
}
