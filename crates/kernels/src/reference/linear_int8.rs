use crate::codec::llm_int8::{product, quantize_activations, to_half, RowCodes};
use crate::maths::{Floats, Real};

/// c[i, j] += alpha · (Σₖ codes of a and w outside the outlier columns, scaled + Σₖ a·w in them)
pub fn linear_int8<R: Real>(m: usize, alpha: R, a: Floats<R>, w: RowCodes, c: &mut [R]) {
    let (k, n) = (w.columns, c.len() / m);
    let (mut codes, mut outliers) = (vec![0; m * k], Vec::new());
    let quantize = |(i, codes): (usize, &mut [i8])| {
        let mut row: Vec<f32> = (i * k..(i + 1) * k).map(|at| to_half(a.get(at).to_f64() as f32)).collect();
        quantize_activations(&mut row, w.threshold, codes, &mut outliers)
    };
    let scales: Vec<f32> = codes.chunks_mut(k).enumerate().map(quantize).collect();
    outliers.sort_unstable();
    outliers.dedup();
    for i in 0..m {
        outliers.iter().for_each(|p| codes[i * k + p] = 0);
        for j in 0..n {
            let pairs = codes[i * k..][..k].iter().zip(&w.codes[j * k..]);
            let sum = pairs.map(|(&a, &w)| i32::from(a) * i32::from(w)).sum();
            let whole = R::from_f64(f64::from(product(sum, scales[i], w.scale(j))));
            let apart: R = outliers.iter().map(|&p| a.get(i * k + p) * R::from_f64(f64::from(w.get(j, p)))).sum();
            c[i * n + j] = c[i * n + j] + alpha * (whole + apart);
        }
    }
}
