//! Checkpoints whose processes saved a part of each tensor. They are not read: the error says how their framework merges them.

use std::path::Path;

/// How the name of a part begins and ends that DeepSpeed writes at ZeRO stage 3. At the other stages, one file has all weights.
const ZERO: (&str, &str) = ("zero_pp_rank_", "_model_states.pt");

/// What a file or folder of parts is and how to merge them, as the rest of a sentence; `None` if it is something else.
pub(super) fn advice(path: &Path) -> Option<String> {
    let is_folder = path.is_dir();
    let names =
        || std::fs::read_dir(path).ok().into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let has = |is_part: fn(&str) -> bool| match is_folder {
        true => names().any(|name| is_part(&name)),
        false => path.file_name().and_then(|name| name.to_str()).is_some_and(is_part),
    };
    let (what, folder) = if is_folder { ("is", path) } else { ("is a part of", path.parent()?) };
    if has(is_distributed) {
        return Some(format!(
            "{what} a checkpoint of torch.distributed.checkpoint, which is in parts: merge them with `python -m \
             torch.distributed.checkpoint.format_utils dcp_to_torch {} weights.pth`",
            folder.display()
        ));
    }
    if has(is_zero) {
        // the script is beside the folder of the step
        let run = folder.parent().filter(|run| run.join("zero_to_fp32.py").exists()).unwrap_or(folder);
        return Some(format!(
            "{what} a DeepSpeed checkpoint of ZeRO stage 3, which is in parts: merge them with `python {} {} MERGED`, and give the \
             folder MERGED",
            run.join("zero_to_fp32.py").display(),
            run.display()
        ));
    }
    None
}

fn is_distributed(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|ending| ending == "distcp")
}

fn is_zero(name: &str) -> bool {
    name.starts_with(ZERO.0) && name.ends_with(ZERO.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_in_parts_are_recognized() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for file in [
            "dcp/.metadata",
            "dcp/__0_0.distcp",
            "zero3/zero_to_fp32.py",
            "zero3/step2/zero_pp_rank_0_mp_rank_00_model_states.pt",
            "zero2/step2/mp_rank_00_model_states.pt",
            "zero2/step2/zero_pp_rank_0_mp_rank_00_optim_states.pt",
        ] {
            std::fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            std::fs::write(root.join(file), "").unwrap();
        }
        for (path, words) in [
            ("dcp", ["is a checkpoint of torch.distributed", "dcp_to_torch"]),
            ("dcp/__0_0.distcp", ["is a part of a checkpoint", "dcp_to_torch"]),
            ("zero3/step2", ["is a DeepSpeed checkpoint of ZeRO stage 3", "zero3/zero_to_fp32.py"]),
            ("zero3/step2/zero_pp_rank_0_mp_rank_00_model_states.pt", ["is a part of a DeepSpeed", "zero3/zero_to_fp32.py"]),
        ] {
            let found = advice(&root.join(path)).unwrap();
            assert!(words.iter().all(|word| found.contains(word)), "{found}");
        }
        for path in ["zero2/step2", "zero2/step2/mp_rank_00_model_states.pt", "zero2", "none"] {
            assert_eq!(advice(&root.join(path)), None);
        }
    }
}
