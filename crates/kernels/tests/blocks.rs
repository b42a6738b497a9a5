//! Block codecs against Python's gguf (tools/python/make_gguf_blocks.py).

use kernels::blocks::Codec;

fn fixture(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/gguf-blocks/");
    std::fs::read(format!("{folder}{name}")).unwrap()
}

#[test]
fn every_codec_decodes_to_the_bits_of_python() {
    for codec in Codec::ALL {
        let mut out = vec![0.0; 4 * 64];
        codec.decode(&fixture(&format!("{}.blocks", codec.name())), &mut out);
        let expected = fixture(&format!("{}.f32", codec.name()));
        let bytes: Vec<u8> = out.iter().flat_map(|w| w.to_le_bytes()).collect();
        assert_eq!(bytes.len(), expected.len());
        assert_eq!(bytes, expected, "{}", codec.name());
    }
}
