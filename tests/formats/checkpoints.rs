//! Checkpoints as training scripts write them (`tests/reference/checkpoints.py`), with objects of classes that are not known here.

use std::path::Path;

use resnetc::internal::driver::Frontend;
use resnetc::internal::formats::weights::{self, Bound};
use resnetc::internal::ir::Checked;

const FOLDER: &str = "tests/fixtures/checkpoints";

const NET: &str = "resnet 1\nnetwork net {\n  input 3 x 4 x 4\n  conv 3x3, filters: 4 as conv1\n  batchnorm as bn1\n  relu\n  \
                   avgpool global\n  linear 3 as fc\n}\n";

fn checked(text: &str) -> Checked {
    let mut front = Frontend::text("net.resnet", text);
    front.check("net", &[]).unwrap_or_else(|| panic!("{:?}", front.diagnostics))
}

fn bound(file: &str) -> Result<Bound, String> {
    let tensors = weights::open(&Path::new(FOLDER).join(file)).map_err(|error| error.to_string())?;
    weights::bind_noting(&checked(NET), &tensors).map_err(|report| format!("{:?}", report.diagnostics))
}

/// The first weight of the network that a file has.
fn first(file: &str) -> f32 {
    let bound = bound(file).unwrap_or_else(|error| panic!("{file}: {error}"));
    assert_eq!(bound.params.iter().count(), 7, "{file}");
    bound.params.iter().find(|(name, _)| *name == "conv1.weight").unwrap().1.to_f32()[0]
}

#[test]
fn checkpoints_of_training_scripts_load() {
    let (trained, average) = (first("timm.pth.tar"), first("timm.pth.tar#state_dict_ema"));
    assert_ne!(trained, average);
    for (file, expected) in [
        ("torchvision.pth", trained),
        ("torchvision.pth#model_ema", average),
        ("lightning.ckpt", trained),
        ("mmengine.pth", trained),
        ("mmengine.pth#ema_state_dict", average),
        ("mp_rank_00_model_states.pt", trained),
        ("composer.pt", trained),
        ("composer.pt#state.model", trained),
        ("composer.pt#model", trained),
        ("moco.pth.tar#module.encoder_q", trained),
        ("moco.pth.tar#module.encoder_k", average),
        ("dino.pth#student", trained),
        ("dino.pth#teacher", average),
        ("module.pt", trained),
    ] {
        assert_eq!(first(file), expected, "{file}");
    }
    // stored as f16
    assert!((first("yolo.pt") - trained).abs() < 1e-3);
}

#[test]
fn a_choice_is_noted() {
    for (file, words) in [
        ("timm.pth.tar", &["under `state_dict`", "also has `state_dict_ema`", "timm.pth.tar#state_dict_ema`"][..]),
        ("torchvision.pth", &["under `model`", "`model_ema`"]),
        ("lightning.ckpt", &["begin with `model.`, which is dropped; not used: `criterion.weight`"]),
        ("mmengine.pth", &["`ema_state_dict`", "begin with `backbone.`, which is dropped"]),
        ("composer.pt", &["begin with `module.`, which is dropped"]),
        ("yolo.pt", &["those under `ema`"]),
    ] {
        let notes = bound(file).unwrap().notes.join("\n");
        assert!(words.iter().all(|word| notes.contains(word)), "{file}: {notes}");
    }
    for file in ["module.pt", "mp_rank_00_model_states.pt", "timm.pth.tar#state_dict_ema"] {
        assert_eq!(bound(file).unwrap().notes, [""; 0], "{file}");
    }
}

#[test]
fn a_choice_that_is_the_users_is_asked_for() {
    let error = |file: &str| bound(file).map(|_| ()).unwrap_err();
    for (file, words) in [
        (
            "moco.pth.tar",
            &["E0508", "several sets of tensors that fit", "`module.encoder_k.`, `module.encoder_q.`", "#module.encoder_k`"][..],
        ),
        ("dino.pth", &["several state dicts: `student`, `teacher`", "`FILE#student`"]),
        ("dino.pth#decoder", &["several state dicts"]),
        ("timm.pth.tar#teacher", &["no state dict and no names under `teacher`", "`state_dict_ema`", "`bn1`"]),
        ("module.pt#backbone", &["no state dict and no names under `backbone`: its names begin with `bn1`, `conv1`, `fc`"]),
    ] {
        let message = error(file);
        assert!(words.iter().all(|word| message.contains(word)), "{file}: {message}");
    }
}

#[test]
fn a_folder_serves_as_weights() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("config.json"), "{}").unwrap();
    std::fs::copy(Path::new(FOLDER).join("timm.pth.tar"), dir.path().join("pytorch_model.bin")).unwrap();
    let net = checked(NET);
    let open = |part: &str| {
        let path = format!("{}{part}", dir.path().display());
        weights::bind_noting(&net, &weights::open(Path::new(&path)).unwrap()).unwrap()
    };
    assert!(open("").notes[1].contains("pytorch_model.bin`"), "{:?}", open("").notes);
    let first = |bound: &Bound| bound.params.iter().find(|(name, _)| *name == "conv1.weight").unwrap().1.to_f32()[0];
    assert_ne!(first(&open("")), first(&open("#state_dict_ema")));
}
