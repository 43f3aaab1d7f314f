//! Why a shared file could not be used. One error type for all of them, naming the file and the rule it breaks.

use std::io;
use std::path::PathBuf;

/// A shared file that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its writer has not made it yet.
    #[error("{} does not exist yet", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Another kind of file, or one whose first words were overwritten.
    #[error("{} is no Trunkline {what} file", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The kind that was wanted.
        what: &'static str,
    },
    /// Made by a build with another memory layout.
    #[error("{} has memory layout {found:#x}, this build reads {wanted:#x}", .path.display())]
    OtherLayout {
        /// The file.
        path: PathBuf,
        /// The layout word in the file.
        found: u64,
        /// The layout word of this build.
        wanted: u64,
    },
    /// Sizes or sums inside do not agree with the file.
    #[error("{} is damaged: {fault}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not agree.
        fault: &'static str,
    },
    /// The file was made with other start-up parameters.
    #[error("{} was made for {found} {what}, the parameters ask for {wanted}", .path.display())]
    OtherSize {
        /// The file.
        path: PathBuf,
        /// What is counted.
        what: &'static str,
        /// The number in the file.
        found: u64,
        /// The number asked for.
        wanted: u64,
    },
    /// Another process already holds the file's writing side.
    #[error("{} is in use by another running instance", .path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
}

impl OpenError {
    /// Adds the path to what the operating system said; "no such file" becomes [`OpenError::Missing`].
    pub(crate) fn io(path: &std::path::Path, source: io::Error) -> OpenError {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => OpenError::Missing { path },
            _ => OpenError::Io { path, source },
        }
    }
}
