//! The file of live counts, as the daemon sees it: Kamailio makes it when it starts, and may make it anew at any time.
//!
//! Must never make it: without Kamailio there are no calls to count.

use std::path::PathBuf;

use trunk_admission::live::Live;

/// Finds the file and stays with it until it is another one.
#[derive(Debug)]
pub struct LiveFile {
    dir: PathBuf,
    live: Option<Live>,
}

impl LiveFile {
    /// The file below the directory in shared memory, which need not be there.
    pub fn new(dir: PathBuf) -> LiveFile {
        LiveFile { dir, live: None }
    }

    /// The file as it is now; `None` until Kamailio has started once with this directory.
    pub fn get(&mut self) -> Option<&Live> {
        if !self.live.as_ref().is_some_and(|live| live.is_current(&self.dir)) {
            self.live = Live::attach(&self.dir).ok();
        }
        self.live.as_ref()
    }
}
