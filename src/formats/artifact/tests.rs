use super::*;
use crate::driver::Frontend;
use crate::runtime::init;
use ndarray::ArrayD;

const SOURCE: &str = "resnet 1\nuse std.blocks: basic\nnetwork net {\n  input 3 x 8 x 8\n  shortcut: projection\n  \
                      conv 3x3, filters: 4\n  norm\n  stage layer1: 1 of basic { filters: 8, map: halve }\n  avgpool global\n  linear 2\n  \
                      labels [\"a\", \"b\"]\n  preprocess { mean: [0.1, 0.2, 0.3] }\n}\n";

fn sample() -> (Checked, ParamStore, SourceMap) {
    let mut front = Frontend::text("net.resnet", SOURCE);
    let checked = front.check("net", &[]).unwrap();
    let params = init::init(&checked, 1).unwrap();
    (checked, params, front.sources)
}

fn written() -> (tempfile::TempDir, PathBuf) {
    let (checked, params, sources) = sample();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("net.rnx");
    write(&path, &Contents::new(&checked, &params, &sources)).unwrap();
    (dir, path)
}

fn answer(model: &Model) -> ArrayD<f32> {
    let x = ArrayD::from_shape_fn(vec![2, 3, 8, 8], |i| (i[1] * 7 + i[2] * 3 + i[3] + i[0]) as f32 / 10.0);
    let mut session = model.session().unwrap();
    session.run(&[("input", x.view())]).unwrap().main().clone()
}

#[test]
fn what_is_written_is_read_back_to_the_bit() {
    let (checked, params, _) = sample();
    let (_dir, path) = written();
    let model = Model::load(&path).unwrap();
    assert_eq!(model.network().labels, ["a", "b"]);
    assert_eq!(model.network().preprocess, checked.network.preprocess);
    assert_eq!(answer(&model), answer(&Model::new(checked, params).unwrap()));
    let verified = verify(&path).unwrap();
    assert_eq!((verified.network.as_str(), verified.tensors), ("net", 22));
}

#[test]
fn every_altered_byte_is_found() {
    let (_dir, path) = written();
    let whole = std::fs::read(&path).unwrap();
    let header = HEADER + u64::from_le_bytes(whole[8..16].try_into().unwrap()) as usize;
    for at in 0..whole.len() {
        // each byte of the header; of the weights one in a hundred
        if at > header && at % 101 != 0 {
            continue;
        }
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(&path, &bytes).unwrap();
        if at < header {
            assert!(Model::load(&path).is_err(), "byte {at} of the header");
        } else if let Ok(verified) = verify(&path) {
            // only the zeros between tensors carry nothing
            assert_eq!(whole[at], 0, "byte {at}: {verified:?}");
        }
    }
}

#[test]
fn every_truncation_is_found() {
    let (_dir, path) = written();
    let whole = std::fs::read(&path).unwrap();
    for len in 0..whole.len() {
        if len > 4096 && len % 101 != 0 {
            continue;
        }
        std::fs::write(&path, &whole[..len]).unwrap();
        assert!(Model::load(&path).is_err(), "cut to {len} bytes");
    }
    let mut longer = whole;
    longer.push(0);
    std::fs::write(&path, longer).unwrap();
    assert!(matches!(Model::load(&path), Err(ArtifactError::Damaged { .. })));
}

#[test]
fn a_header_of_impossible_length_takes_no_memory() {
    let (_dir, path) = written();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8..16].copy_from_slice(&(1u64 << 60).to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    assert!(Model::load(&path).unwrap_err().to_string().contains("impossible length"));
}

/// A header with a right checksum is not believed either.
#[test]
fn a_forged_header_is_refused() {
    let (_dir, path) = written();
    let whole = std::fs::read(&path).unwrap();
    let end = HEADER + u64::from_le_bytes(whole[8..16].try_into().unwrap()) as usize;
    let text = String::from_utf8(whole[HEADER..end].to_vec()).unwrap();
    let forge = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        let header = text.replacen(from, to, 1).into_bytes();
        let mut bytes = MAGIC.to_vec();
        bytes.extend((header.len() as u64).to_le_bytes());
        bytes.extend(checksum(&bytes[..16], &header).to_le_bytes());
        bytes.extend(&header);
        bytes.resize(bytes.len().next_multiple_of(PAGE), 0);
        bytes.extend(&whole[end.next_multiple_of(PAGE)..]);
        std::fs::write(&path, bytes).unwrap();
        Model::load(&path).map(|_| ()).unwrap_err().to_string()
    };
    assert!(forge("\"version\":2", "\"version\":9").contains("version 9"));
    assert!(forge("\"reads\":[0]", "\"reads\":[900]").contains("does not come before"));
    assert!(forge("\"offset\":0", "\"offset\":18446744073709551552").contains("does not lie within"));
    assert!(forge("\"filters\":4", "\"filters\":4000").contains("damaged"));
    assert!(forge("\"mean\":[0.1,0.2,0.3]", "\"mean\":[0.1]").contains("preprocessing"));
}
