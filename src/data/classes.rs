//! Which class a folder of images is: by the network's labels, by ImageNet's synsets, or by its place among the folders.

use super::DatasetOptions;
use super::folder::FolderError;
use crate::ir::imagenet;

/// The classes of a dataset's folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Classes {
    /// Of each folder.
    pub indices: Vec<usize>,
    /// The names of the classes by their index.
    pub names: Vec<String>,
}

/// Numbers folders, whose names come sorted, for a network with these labels (possibly none) and so many outputs. Where the options are
/// `strict`, folders of other names are an error; else they are counted.
pub(super) fn classes(folders: &[String], options: &DatasetOptions<'_>) -> Result<Classes, FolderError> {
    let (labels, outputs) = (options.labels, options.classes);
    let names = || if labels.is_empty() { imagenet::names() } else { labels.to_vec() };
    if let Some(indices) = by_label(folders, labels)? {
        return Ok(Classes { indices, names: labels.to_vec() });
    }
    if outputs == Some(imagenet::classes().len())
        && let Some(indices) = by_synset(folders)?
    {
        return Ok(Classes { indices, names: names() });
    }
    if let Some(folder) = folders.first().filter(|_| options.strict) {
        return Err(unknown(folder, labels));
    }
    Ok(Classes { indices: (0..folders.len()).collect(), names: folders.to_vec() })
}

/// By labels, as soon as one folder is called as a label is. A label may also begin with its synset, as the lines of
/// `LOC_synset_mapping.txt` do.
fn by_label(folders: &[String], labels: &[String]) -> Result<Option<Vec<usize>>, FolderError> {
    let begins = |label: &str, folder: &str| label.split_once(' ').is_some_and(|(first, _)| first == folder);
    let is = |label: &str, folder: &str| label == folder || (imagenet::is_synset(folder) && begins(label, folder));
    let class = |folder: &String| labels.iter().position(|label| is(label, folder));
    if !folders.iter().any(|folder| class(folder).is_some()) {
        return Ok(None);
    }
    let known = |folder: &String| class(folder).ok_or_else(|| unknown(folder, labels));
    folders.iter().map(known).collect::<Result<_, _>>().map(Some)
}

fn unknown(folder: &str, labels: &[String]) -> FolderError {
    let labels = labels.iter().take(12).cloned().collect::<Vec<_>>().join(", ");
    FolderError::UnknownClass { folder: folder.to_owned(), labels }
}

/// By ImageNet's synsets, as soon as one folder is called so; some of the classes will do. A thousand folders of which some are others
/// are classes of somebody's own.
fn by_synset(folders: &[String]) -> Result<Option<Vec<usize>>, FolderError> {
    let known = folders.iter().filter(|folder| imagenet::index(folder).is_some()).count();
    if known == 0 || (known < folders.len() && folders.len() >= imagenet::classes().len()) {
        return Ok(None);
    }
    let class = |folder: &String| imagenet::index(folder).ok_or_else(|| FolderError::UnknownSynset { folder: folder.clone() });
    folders.iter().map(class).collect::<Result<_, _>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(labels: &[String], classes: Option<usize>) -> DatasetOptions<'_> {
        DatasetOptions { labels, classes, ..DatasetOptions::default() }
    }

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn indices(folders: &[&str], labels: &[String], outputs: usize) -> Vec<usize> {
        classes(&list(folders), &options(labels, Some(outputs))).unwrap().indices
    }

    #[test]
    fn folders_called_as_synsets_are_imagenets_classes() {
        let found = classes(&list(&["n01443537", "n02099601", "n15075141"]), &options(&[], Some(1000))).unwrap();
        assert_eq!(found.indices, [1, 207, 999]);
        assert_eq!(found.names[207], "golden retriever");
        // the same with the names as labels; and by the names themselves
        assert_eq!(indices(&["n02099601"], &imagenet::names(), 1000), [207]);
        assert_eq!(indices(&["golden retriever"], &imagenet::names(), 1000), [207]);
        // a network of other classes counts them, as torchvision does
        assert_eq!(indices(&["n01443537", "n02099601"], &[], 10), [0, 1]);
        let unknown = classes(&list(&["n01443537", "n99999999"]), &options(&[], Some(1000)));
        assert!(matches!(unknown, Err(FolderError::UnknownSynset { folder }) if folder == "n99999999"));
        assert_eq!(indices(&["n99999998", "n99999999"], &[], 1000), [0, 1]);
    }

    #[test]
    fn all_thousand_folders_count_as_they_are_sorted() {
        let mut all: Vec<String> = imagenet::classes().iter().map(|class| class.synset.to_owned()).collect();
        let counted: Vec<usize> = (0..1000).collect();
        assert_eq!(classes(&all, &options(&[], Some(1000))).unwrap().indices, counted);
        all[999] = "n99999999".to_owned();
        let own = classes(&all, &options(&[], Some(1000))).unwrap();
        assert_eq!((own.indices, own.names), (counted, all));
    }

    #[test]
    fn labels_may_begin_with_their_synsets() {
        let labels = list(&["n02099601 golden retriever", "n01443537 goldfish, Carassius auratus"]);
        assert_eq!(indices(&["n01443537", "n02099601"], &labels, 2), [1, 0]);
        let unknown = classes(&list(&["n01443537", "n01440764"]), &options(&labels, Some(2)));
        assert!(matches!(unknown, Err(FolderError::UnknownClass { .. })));
    }
}
