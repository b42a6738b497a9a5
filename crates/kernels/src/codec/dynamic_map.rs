//! The signed dynamic 8-bit code (Dettmers et al. 2022, "8-bit Optimizers via Block-wise Quantization"): an exponent of
//! as many bits as it needs, the rest of the bits a linear fraction. Bit for bit bitsandbytes' `create_dynamic_map()`.

use std::sync::OnceLock;

/// Values by code, ascending.
pub fn values() -> &'static [f32; 256] {
    static VALUES: OnceLock<[f32; 256]> = OnceLock::new();
    VALUES.get_or_init(|| {
        let mut values = [0.0; 256];
        let fractions = (0..7).flat_map(|exponent| {
            let power = 10f64.powi(exponent - 6) as f32;
            midpoints((1 << exponent) + 1).flat_map(move |middle| [power * middle, -power * middle])
        });
        for (value, fraction) in values.iter_mut().zip(fractions) {
            *value = fraction;
        }
        // 254 fractions, and 0 and 1.
        values[255] = 1.0;
        values.sort_by(f32::total_cmp);
        values
    })
}

/// Middles of the intervals between `count` equidistant points from 0.1 to 1, each rounded as torch.linspace rounds.
fn midpoints(count: usize) -> impl Iterator<Item = f32> {
    let step = (1.0f32 - 0.1) / (count - 1) as f32;
    let point = move |k: usize| {
        if k < count / 2 {
            step.mul_add(k as f32, 0.1)
        } else {
            (-step).mul_add((count - 1 - k) as f32, 1.0)
        }
    };
    (0..count - 1).map(move |k| (point(k) + point(k + 1)) / 2.0)
}

/// Steps of the table through which bitsandbytes 0.50 looks codes up on the CPU: values next to the middle between two
/// codes may get the further one.
const STEPS: f32 = 65535.0;

/// The code of x in [−1, 1].
pub fn code(x: f32) -> u8 {
    static TABLE: OnceLock<Vec<u8>> = OnceLock::new();
    let table = TABLE.get_or_init(|| (0..65536).map(|i| nearest(i as f32 * (2.0 / STEPS) - 1.0)).collect());
    table[(((x + 1.0) * 0.5 * STEPS + 0.5) as usize).min(65535)]
}

fn nearest(x: f32) -> u8 {
    let values = values();
    let right = values.partition_point(|&value| value < x).clamp(1, 255);
    let left = right - 1;
    let closer = if values[right] - x < x - values[left] { right } else { left };
    closer as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_all_values_are_their_own_but_where_the_table_is_coarser() {
        let values = values();
        assert_eq!(values[127], 0.0);
        assert_eq!([values[0], values[1], values[2]], [-0.99296874, -0.978_906_3, -0.96484375]);
        let wide = (0..=255u8).filter(|&i| values[usize::from(i)].abs() > 1e-4);
        assert!(wide.clone().count() > 230 && wide.clone().all(|i| code(values[usize::from(i)]) == i));
        assert_eq!([code(-1.0), code(1.0), code(2.0), code(f32::NAN)], [0, 255, 255, 0]);
    }
}
