//! Mappings: where they begin, and what huge pages leave as it was.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use super::*;
use crate::sync::Ordering;

/// A directory in memory, where there are huge pages, and one on a disk, where there may be none.
fn directories() -> Vec<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    let memory = memory.is_dir().then(|| tempfile::tempdir_in(memory).unwrap());
    memory.into_iter().chain([tempfile::tempdir().unwrap()]).collect()
}

/// KiB of a mapping that this process finds in huge pages.
fn huge_kib(map: &Map) -> usize {
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let begin = format!("{:x}-", map.first.addr().get());
    let mut mapping = smaps.lines().skip_while(|line| !line.starts_with(&begin));
    let line = mapping.find_map(|line| line.strip_prefix("ShmemPmdMapped:"));
    line.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_large_mapping_begins_where_a_huge_page_does() {
    let lengths = [HUGE_PAGE / WORD, HUGE_PAGE / WORD + 1, 5 * HUGE_PAGE / WORD - 1];
    for dir in directories() {
        for (number, words) in lengths.into_iter().enumerate() {
            let path = dir.path().join(number.to_string());
            let made = Map::create(&path, words, FILE_MODE).unwrap();
            let (shared, read) = (Map::open_shared(&path).unwrap(), Map::open_read_only(&path).unwrap());
            for map in [&made, &shared, &read] {
                assert_eq!(map.words().len(), words);
                assert!(map.first.addr().get().is_multiple_of(HUGE_PAGE), "{words} words");
            }
        }
    }
}

#[test]
fn a_file_that_ends_within_a_word_leaves_nothing_mapped_behind() {
    for dir in directories() {
        let path = dir.path().join("odd");
        std::fs::write(&path, vec![1; 2 * HUGE_PAGE + 3]).unwrap();
        let map = Map::open_read_only(&path).unwrap();
        assert_eq!(map.words().len(), 2 * HUGE_PAGE / WORD);
        drop(map);
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        assert!(!maps.contains(path.to_str().unwrap()), "{maps}");
    }
}

#[test]
fn huge_pages_change_nothing_that_is_written_before_or_after() {
    const WORDS: usize = 3 * HUGE_PAGE / WORD;
    for dir in directories() {
        let path = dir.path().join("file");
        let bytes: Vec<u8> = (0..WORDS as u64).flat_map(|n| (n * 77).to_ne_bytes()).collect();
        std::fs::write(&path, bytes).unwrap();
        let shared = Map::open_shared(&path).unwrap();
        let before = Map::open_read_only(&path).unwrap();
        assert_eq!(before.words().at(WORDS - 1), (WORDS as u64 - 1) * 77);
        let huge = Map::open_read_only(&path).unwrap().use_huge_pages();
        let after = Map::open_read_only(&path).unwrap();
        for map in [&before, &after, &shared] {
            assert!(map.words().iter().zip(0..).all(|(word, n): (u64, u64)| word == n * 77));
        }
        assert!(!huge || huge_kib(&after) == WORDS * WORD / 1024, "the kernel says so");
        // Whoever mapped it before and whoever maps it now see the same memory.
        shared.shared_words()[WORDS / 2].store(5, Ordering::Relaxed);
        assert_eq!((before.words().at(WORDS / 2), after.words().at(WORDS / 2)), (5, 5));
    }
}
