//! The 8-bit codes against bitsandbytes' tables (tools/python/make_bitsandbytes_steps.py).

use kernels::dynamic_code::DynamicCode;

#[test]
fn the_values_of_all_codes_are_the_bits_of_bitsandbytes() {
    for (name, code) in [("signed", DynamicCode::signed()), ("unsigned", DynamicCode::unsigned())] {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/optimizers/");
        let expected = std::fs::read(format!("{folder}dynamic-{name}.f32")).unwrap();
        let found: Vec<u8> = code.values().iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(found, expected, "{name}");
    }
}
