use crate::maths::Real;

/// y = x · rstd · w, rstd = 1/√(mean(x²) + ε)
pub fn forward<R: Real>(x: &[R], w: &[R], epsilon: R, y: &mut [R], rstd: &mut [R]) {
    let d = w.len();
    for (i, rstd) in rstd.iter_mut().enumerate() {
        let x = &x[i * d..(i + 1) * d];
        let mean = x.iter().map(|&x| x * x).sum::<R>() / R::from_f64(d as f64);
        *rstd = R::one() / (mean + epsilon).sqrt();
        for (j, y) in y[i * d..(i + 1) * d].iter_mut().enumerate() {
            *y = x[j] * *rstd * w[j];
        }
    }
}

/// x̂ = x · rstd:  dx = rstd · (g·w − x̂ · mean(g·w·x̂)),  dw = Σ g·x̂
pub fn backward<R: Real>(g: &[R], x: &[R], w: &[R], rstd: &[R], dx: &mut [R], mut dw: Option<&mut [R]>) {
    let d = w.len();
    for (i, &rstd) in rstd.iter().enumerate() {
        let (g, x) = (&g[i * d..(i + 1) * d], &x[i * d..(i + 1) * d]);
        let mean = (0..d).map(|j| g[j] * w[j] * x[j] * rstd).sum::<R>() / R::from_f64(d as f64);
        for (j, dx) in dx[i * d..(i + 1) * d].iter_mut().enumerate() {
            *dx = rstd * (g[j] * w[j] - x[j] * rstd * mean);
        }
        for (j, dw) in dw.iter_mut().flat_map(|dw| dw.iter_mut()).enumerate() {
            *dw = *dw + g[j] * x[j] * rstd;
        }
    }
}
