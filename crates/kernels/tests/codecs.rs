//! Codecs against Python: blocks of GGUF (tools/python/make_gguf_blocks.py), 4-bit codes of bitsandbytes
//! (tools/python/make_bitsandbytes_codes.py), and its int8 (tools/python/make_llm_int8.py).

use kernels::backend::{Layers, Memory};
use kernels::codec::{values_of, Blocks, Codec, Coded, Extent};
use kernels::dtype::DType;
use kernels::host::Host;
use kernels::maths::Layout;
use kernels::store::Slot;

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

/// As `numbers` of tools/python/codec_fixtures.py.
fn numbers(count: usize) -> Vec<f32> {
    let number = |i: i64| match i {
        640..768 => 0.0,
        _ => (((i * i * 31 + i * 17) % 10007 - 5003) << (i / 64 % 4)) as f32 / 4096.0,
    };
    (0..count as i64).map(number).collect()
}

/// Every matrix of a folder, `<codec>-<columns>` or `<codec>-<rows>x<columns>`, has its bytes and expands to its numbers.
fn conforms(folder: &str) -> usize {
    let mut cases = 0;
    for entry in std::fs::read_dir(format!("{}/../../fixtures/{folder}", env!("CARGO_MANIFEST_DIR"))).unwrap() {
        let path = entry.unwrap().path();
        let Some(name) = path.to_str().and_then(|path| path.strip_suffix(".bytes")) else { continue };
        let name = name.rsplit('/').next().unwrap();
        let (codec, sizes) = name.rsplit_once('-').unwrap();
        let (rows, columns) = sizes.split_once('x').unwrap_or(("1", sizes));
        let codec = Codec::from_name(&codec.replace('-', "/")).unwrap();
        let columns: usize = columns.parse().unwrap();
        let elements = rows.parse::<usize>().unwrap() * columns;
        let (extent, expected) = (Extent { elements, columns }, std::fs::read(&path).unwrap());
        let mut bytes = vec![0; codec.bytes(extent).unwrap()];
        let values = numbers(elements);
        assert!(codec.encode(&values_of(&values), extent, &mut bytes));
        assert_eq!(bytes.len(), expected.len(), "{name}");
        let wrong = bytes.iter().zip(&expected).filter(|(found, expected)| found != expected).count();
        assert_eq!(wrong, 0, "{name}: {wrong} bytes of {} differ", bytes.len());
        let weight = Coded { codec, bytes: &expected, extent };
        let found: Vec<u8> = (0..elements).step_by(29).flat_map(|i| weight.get(i).to_le_bytes()).collect();
        assert_eq!(found, fixture(&format!("{folder}/{name}.f32")), "{name}");
        let mut all = vec![0.0; elements - 5];
        weight.expand(5, &mut all);
        assert!(all.iter().enumerate().all(|(i, &w)| w == weight.get(i + 5)), "{name}: pieces differ from elements");
        cases += 1;
    }
    cases
}

#[test]
fn four_bit_codes_are_those_of_bitsandbytes_and_expand_to_its_numbers() {
    assert_eq!(conforms("bitsandbytes"), 16);
}

#[test]
fn eetq_codes_are_those_of_its_formula_and_expand_to_its_numbers() {
    assert_eq!(conforms("eetq"), 2);
}

#[test]
fn eetq_is_half_a_step_off_and_a_step_at_the_largest() {
    let (values, extent) = (numbers(3000), Extent { elements: 3000, columns: 75 });
    let codec = Codec::from_name("eetq").unwrap();
    let mut bytes = vec![0; codec.bytes(extent).unwrap()];
    assert!(codec.encode(&values_of(&values), extent, &mut bytes));
    let mut back = vec![0.0; 3000];
    Coded { codec, bytes: &bytes, extent }.expand(0, &mut back);
    for (row, back) in values.chunks(75).zip(back.chunks(75)) {
        let most = row.iter().fold(0.0f32, |most, w| most.max(w.abs()));
        for (w, found) in row.iter().zip(back) {
            // 127.5 steps and more have the code 127; the scale as f16 is off by 2⁻¹¹ of itself.
            let steps = if w * 256.0 > most * 255.0 { 1.0 } else { 0.5 };
            assert!((w - found).abs() <= most * (steps / 128.0 + 1.0 / 2048.0), "{w} became {found} beside {most}");
        }
    }
}

/// As `numbers` of tools/python/make_llm_int8.py.
fn matrix(rows: usize, columns: usize) -> Vec<f32> {
    let number = |i: i64| match i as usize / columns {
        5 if rows > 5 => 0.0,
        _ => ((i * i * 31 + i * 17) % 10007 - 5003) as f32 / 4096.0,
    };
    (0..(rows * columns) as i64).map(number).collect()
}

#[test]
fn int8_codes_and_scales_are_those_of_bitsandbytes() {
    let (codec, extent) = (Codec::from_name("llm_int8/6").unwrap(), Extent { elements: 33 * 131, columns: 131 });
    let mut bytes = vec![0; codec.bytes(extent).unwrap()];
    assert!(codec.encode(&values_of(&matrix(33, 131)), extent, &mut bytes));
    assert!(bytes == fixture("llm-int8/weight.bytes"));
    let weight = Coded { codec, bytes: &bytes, extent };
    let mut all = vec![0.0; 33 * 131 - 200];
    weight.expand(200, &mut all);
    assert!(all.iter().enumerate().all(|(i, &w)| w == weight.get(i + 200)), "pieces differ from elements");
    assert!(all.iter().zip(&matrix(33, 131)[200..]).all(|(w, x)| (w - x).abs() <= 0.006));
}

/// The layer of tools/python/make_llm_int8.py on both backends: y = x·wᵀ and dx = g·w.
#[test]
fn a_linear_layer_in_int8_gives_the_numbers_of_bitsandbytes() {
    let mut x = matrix(7, 131);
    (x[2 * 131 + 3], x[4 * 131 + 40], x[6 * 131 + 40]) = (17.5, -6.0, 30.25);
    x[5 * 131..6 * 131].fill(0.0);
    for mut host in [Host::cpu(2, false), Host::reference()] {
        for (name, codec) in [("outliers", "llm_int8/6"), ("whole", "llm_int8/0")] {
            let codec = DType::from_name(codec).unwrap();
            let w = host.upload(codec, &[33, 131], &fixture("llm-int8/weight.bytes")).unwrap();
            let x = host.upload(DType::F32, &[7, 131], bytemuck::cast_slice(&x)).unwrap();
            let g = host.upload(DType::F32, &[7, 33], bytemuck::cast_slice(&matrix(7, 33))).unwrap();
            let y = host.matmul(Layout::Nt, x, w, 1.0, None).unwrap();
            close(&mut host, y, &fixture(&format!("llm-int8/{name}.output")));
            let dx = host.matmul(Layout::Nn, g, w, 1.0, None).unwrap();
            close(&mut host, dx, &fixture(&format!("llm-int8/{name}.gradient")));
        }
    }
}

fn close(host: &mut Host, slot: Slot, expected: &[u8]) {
    let mut found = vec![0; expected.len()];
    host.read(slot, &mut found).unwrap();
    let (found, expected): (&[f32], &[f32]) = (bytemuck::cast_slice(&found), bytemuck::cast_slice(expected));
    let size = expected.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    let off = found.iter().zip(expected).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(off <= 1e-6 * size, "off by {off:e} of {size:e}");
}

#[test]
fn names_of_codecs_are_read_back_and_others_refused() {
    for name in ["q8_0", "nf4/64", "fp4/4096/double", "eetq", "llm_int8/6", "llm_int8/0", "llm_int8/5.5"] {
        assert_eq!(Codec::from_name(name).map(|codec| codec.name()).as_deref(), Some(name));
    }
    for name in [
        "nf4",
        "nf4/63",
        "nf4/16",
        "nf4/8192",
        "nf4/064",
        "nf4/64/triple",
        "nf4/64/double/",
        "f32",
        "llm_int8",
        "llm_int8/",
        "llm_int8/-1",
        "llm_int8/inf",
        "llm_int8/nan",
    ] {
        assert_eq!(Codec::from_name(name), None, "{name}");
    }
}
