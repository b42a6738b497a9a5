use crate::maths::Real;

/// Rotary embedding (Su et al. 2021), halves paired: (x₁, x₂) → (x₁·cos − x₂·sin, x₂·cos + x₁·sin) for channels i and
/// i + P of each head, i < P; the others pass. The backward pass is the inverse rotation.
pub fn rope<R: Real>(x: &[R], cos: &[R], sin: &[R], pairs: usize, head_dim: usize, inverse: bool, y: &mut [R]) {
    y.copy_from_slice(x);
    let row_length = y.len() / (cos.len() / pairs);
    for (row, y) in y.chunks_exact_mut(row_length).enumerate() {
        for head in y.chunks_exact_mut(head_dim) {
            for i in 0..pairs {
                let (c, s) = (cos[row * pairs + i], sin[row * pairs + i]);
                let s = if inverse { -s } else { s };
                let (x1, x2) = (head[i], head[i + pairs]);
                head[i] = x1 * c - x2 * s;
                head[i + pairs] = x2 * c + x1 * s;
            }
        }
    }
}
