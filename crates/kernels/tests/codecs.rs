//! Codecs against Python: blocks of GGUF (tools/python/make_gguf_blocks.py), and
//! 4-bit codes of bitsandbytes (tools/python/make_bitsandbytes_codes.py).

use kernels::codec::{Blocks, Codec, Coded, Extent};

fn fixture(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/");
    std::fs::read(format!("{folder}{name}")).unwrap()
}

#[test]
fn gguf_blocks_expand_to_the_bits_of_python() {
    for codec in Blocks::ALL.map(Codec::Gguf) {
        let bytes = fixture(&format!("gguf-blocks/{}.blocks", codec.name()));
        let columns = if codec.name().ends_with("_k") { 256 } else { 64 };
        let extent = Extent { elements: 4 * columns, columns };
        assert_eq!(codec.bytes(extent), Some(bytes.len()));
        let mut out = vec![0.0; extent.elements];
        Coded { codec, bytes: &bytes, extent }.expand(0, &mut out);
        let found: Vec<u8> = out.iter().flat_map(|w| w.to_le_bytes()).collect();
        assert_eq!(found, fixture(&format!("gguf-blocks/{}.f32", codec.name())), "{}", codec.name());
        let weight = Coded { codec, bytes: &bytes, extent };
        assert!(out.iter().enumerate().all(|(i, &w)| weight.get(i) == w), "{}: elements", codec.name());
    }
}

/// As `numbers` of tools/python/make_bitsandbytes_codes.py.
fn numbers(count: usize) -> Vec<f32> {
    let number = |i: i64| match i {
        640..768 => 0.0,
        _ => (((i * i * 31 + i * 17) % 10007 - 5003) << (i / 64 % 4)) as f32 / 4096.0,
    };
    (0..count as i64).map(number).collect()
}

#[test]
fn four_bit_codes_are_those_of_bitsandbytes_and_expand_to_its_numbers() {
    let mut cases = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/bitsandbytes")).unwrap() {
        let path = entry.unwrap().path();
        let Some(name) = path.to_str().and_then(|path| path.strip_suffix(".bytes")) else { continue };
        let name = name.rsplit('/').next().unwrap();
        let (codec, count) = name.rsplit_once('-').unwrap();
        let codec = Codec::from_name(&codec.replace('-', "/")).unwrap();
        let elements = count.parse().unwrap();
        let (extent, expected) = (Extent { elements, columns: elements }, std::fs::read(&path).unwrap());
        let mut bytes = vec![0; codec.bytes(extent).unwrap()];
        let values = numbers(elements);
        let part = |start: usize, out: &mut [f32]| out.copy_from_slice(&values[start..][..out.len()]);
        assert!(codec.encode(&part, extent, &mut bytes));
        assert_eq!(bytes.len(), expected.len(), "{name}");
        let wrong = bytes.iter().zip(&expected).filter(|(found, expected)| found != expected).count();
        assert_eq!(wrong, 0, "{name}: {wrong} bytes of {} differ", bytes.len());
        let weight = Coded { codec, bytes: &expected, extent };
        let found: Vec<u8> = (0..elements).step_by(29).flat_map(|i| weight.get(i).to_le_bytes()).collect();
        assert_eq!(found, fixture(&format!("bitsandbytes/{name}.f32")), "{name}");
        let mut all = vec![0.0; elements - 5];
        weight.expand(5, &mut all);
        assert!(all.iter().enumerate().all(|(i, &w)| w == weight.get(i + 5)), "{name}: pieces differ from elements");
        cases += 1;
    }
    assert_eq!(cases, 16);
}

#[test]
fn names_of_codecs_are_read_back_and_others_refused() {
    for name in ["q8_0", "nf4/64", "fp4/4096/double"] {
        assert_eq!(Codec::from_name(name).map(|codec| codec.name()).as_deref(), Some(name));
    }
    for name in ["nf4", "nf4/63", "nf4/16", "nf4/8192", "nf4/064", "nf4/64/triple", "nf4/64/double/", "f32"] {
        assert_eq!(Codec::from_name(name), None, "{name}");
    }
}
