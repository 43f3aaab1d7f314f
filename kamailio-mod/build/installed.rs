//! What the installed Kamailio says about itself (`kamailio -v`), turned into the defines its headers need.
//!
//! It must never invent a flag: a token of the flag line that it does not know is an error, because an unknown flag
//! may move a structure.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The answers of one `kamailio -v`.
pub(crate) struct Installed {
    /// `kamailio 5.6.3 (x86_64/linux)`: the loader compares it with `module_version`.
    pub(crate) full_version: String,
    /// `5.6.3`
    pub(crate) version: String,
    arch: String,
    os: String,
    /// The flag line, word for word: the loader compares it with `module_flags`.
    pub(crate) flags: String,
    /// `MAX_URI_SIZE 1024` and its like: names with a value, which must agree with the headers.
    sizes: Vec<(String, u64)>,
}

/// Flags that the flag line prints under another name than the define that sets them.
const RENAMED: &[(&str, &[&str])] = &[
    ("FAST_LOCK-ADAPTIVE_WAIT", &["FAST_LOCK", "ADAPTIVE_WAIT"]),
    ("TLS_PTHREAD_MUTEX_SHARED", &["KSR_PTHREAD_MUTEX_SHARED"]),
];

/// Flags that are printed as they are defined.
const PLAIN: &[&str] = &[
    "USE_TCP",
    "USE_TLS",
    "USE_SCTP",
    "TLS_HOOKS",
    "USE_RAW_SOCKS",
    "DISABLE_NAGLE",
    "USE_MCAST",
    "DNS_IP_HACK",
    "SHM_MMAP",
    "PKG_MALLOC",
    "Q_MALLOC",
    "F_MALLOC",
    "TLSF_MALLOC",
    "DBG_SR_MEMORY",
    "USE_FUTEX",
    "USE_DNS_CACHE",
    "USE_DNS_FAILOVER",
    "USE_NAPTR",
    "USE_DST_BLOCKLIST",
    "HAVE_RESOLV_RES",
];

/// Set by Kamailio's `Makefile.defs` on Linux with gcc and printed nowhere.
const SILENT: &[&str] = &[
    "WITH_XAVP",
    "MEM_JOIN_FREE",
    "USE_CORE_STATS",
    "STATISTICS",
    "MALLOC_STATS",
    "CC_GCC_LIKE_ASM",
    "HAVE_GETHOSTBYNAME2",
    "HAVE_UNION_SEMUN",
    "HAVE_SCHED_YIELD",
    "HAVE_MSG_NOSIGNAL",
    "HAVE_MSGHDR_MSG_CONTROL",
    "HAVE_ALLOCA_H",
    "HAVE_TIMEGM",
    "HAVE_SCHED_SETSCHEDULER",
    "HAVE_IP_MREQN",
    "HAVE_EPOLL",
    "HAVE_SIGIO_RT",
    "SIGINFO64_WORKARROUND",
    "HAVE_SELECT",
];

impl Installed {
    /// Runs `<bin> -v` and reads it.
    pub(crate) fn ask(bin: &str) -> Result<Installed, String> {
        let output = Command::new(bin)
            .arg("-v")
            .output()
            .map_err(|e| format!("cannot run `{bin} -v` ({e}): run `make deps`, or set KAMAILIO_BIN"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        Installed::parse(&text)
            .ok_or_else(|| format!("`{bin} -v` does not look like Kamailio's version page"))
    }

    fn parse(text: &str) -> Option<Installed> {
        let line = |key: &str| text.lines().find_map(|l| l.strip_prefix(key)).map(str::trim);
        // "kamailio 5.6.3 (x86_64/linux) <commit, if built from git>"
        let full = line("version: ")?;
        let full_version = full[..=full.find(')')?].to_owned();
        let (name, place) = full_version.split_once(" (")?;
        let version = name.strip_prefix("kamailio ")?.to_owned();
        let (arch, os) = place.strip_suffix(')')?.split_once('/')?;
        let sizes = text.lines().find(|l| l.contains("MAX_URI_SIZE"))?;
        let sizes = sizes
            .split(',')
            .filter_map(|pair| pair.trim().split_once(' '))
            .filter_map(|(key, value)| Some((key.to_owned(), value.parse().ok()?)))
            .collect();
        let (arch, os) = (arch.to_owned(), os.to_owned());
        Some(Installed { version, arch, os, flags: line("flags: ")?.to_owned(), sizes, full_version })
    }

    /// The defines of the compiler line, without `-D`.
    pub(crate) fn defines(&self) -> Result<Vec<String>, String> {
        let mut all: Vec<String> = SILENT.iter().map(|d| (*d).to_owned()).collect();
        for flag in self.flags.split(", ") {
            match RENAMED.iter().find(|(printed, _)| *printed == flag) {
                Some((_, defines)) => all.extend(defines.iter().map(|d| (*d).to_owned())),
                None if PLAIN.contains(&flag) => all.push(flag.to_owned()),
                None => {
                    return Err(format!("Kamailio was built with {flag}, which this module does not know"));
                }
            }
        }
        if let Some(loops) = self.size("ADAPTIVE_WAIT_LOOPS") {
            all.push(format!("ADAPTIVE_WAIT_LOOPS={loops}"));
        }
        let number = self.version.split('.').map(|part| part.parse::<u32>().unwrap_or(0)).collect::<Vec<_>>();
        let [major, minor, patch] = number[..] else {
            return Err(format!("cannot read the version number {}", self.version));
        };
        all.push(format!("VERSIONVAL={}", major * 1_000_000 + minor * 1_000 + patch));
        all.push(format!("NAME=\"{}\"", "kamailio"));
        all.push(format!("VERSION=\"{}\"", self.version));
        all.push(format!("ARCH=\"{}\"", self.arch));
        all.push(format!("OS={}_", self.os));
        all.push(format!("OS_QUOTED=\"{}\"", self.os));
        all.push(format!("__CPU_{}", self.arch));
        all.push(format!("__OS_{}", self.os));
        all.push("MOD_NAME=\"trunk\"".to_owned());
        Ok(all)
    }

    /// The Rust text of `version.rs`.
    pub(crate) fn version_rs(&self) -> String {
        format!(
            "pub const FULL_VERSION: &core::ffi::CStr = c{:?};\npub const FLAGS: &core::ffi::CStr = c{:?};\n\
             pub const INSTALLED_MAX_URI_SIZE: u64 = {};\n",
            self.full_version,
            self.flags,
            self.size("MAX_URI_SIZE").unwrap_or(0)
        )
    }

    fn size(&self, name: &str) -> Option<u64> {
        self.sizes.iter().find(|(key, _)| key == name).map(|(_, value)| *value)
    }
}

/// `VERSION.PATCHLEVEL.SUBLEVEL` of a Kamailio source tree's `src/Makefile.defs`.
pub(crate) fn source_version(makefile_defs: &Path) -> Option<String> {
    let text = fs::read_to_string(makefile_defs).ok()?;
    let number = |key: &str| {
        let line = text.lines().find(|l| l.split('=').next().is_some_and(|name| name.trim() == key))?;
        Some(line.split_once('=')?.1.trim().to_owned())
    };
    Some(format!("{}.{}.{}", number("VERSION")?, number("PATCHLEVEL")?, number("SUBLEVEL")?))
}
