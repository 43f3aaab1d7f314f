//! What the log of a run must satisfy, checked exactly and without the code under test.

/// One admitted call, as the process that made it saw it. Times are of the monotonic clock, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// `live` index of its trunk.
    pub(crate) trunk: u32,
    /// The time that the decision used.
    pub(crate) decided: u64,
    /// Just after it was admitted.
    pub(crate) from: u64,
    /// Just before it was ended.
    pub(crate) to: u64,
}

/// Every window of the decision times holds at most `floor(T / interval) + burst` calls. Answers how many windows that
/// begin and end with a call were in question; panics at the first that is broken.
///
/// With the times in order, calls `i..=j` break the promise exactly when `t[j] - t[i] < (j - i + 1 - burst) * interval`.
/// So it is enough to compare each `t[j] - j * interval` with the greatest `t[i] - i * interval` before it: one pass
/// judges all windows.
pub(crate) fn no_window_is_broken(what: &str, times: &mut [u64], interval: u64, burst: u32) -> u128 {
    times.sort_unstable();
    let (interval, burst) = (i128::from(interval), i128::from(burst));
    let mut greatest = (i128::MIN, 0);
    for (index, &time) in times.iter().enumerate() {
        let aligned = i128::from(time) - index as i128 * interval;
        if aligned > greatest.0 {
            greatest = (aligned, index);
        }
        let spare = aligned + (burst - 1) * interval - greatest.0;
        assert!(
            spare >= 0,
            "{what}: {} calls in {} ns, {} ns too soon for one each {interval} ns and {burst} at once",
            index - greatest.1 + 1,
            time - times[greatest.1],
            -spare
        );
    }
    let count = times.len() as u128;
    count * (count + 1) / 2
}

/// The most calls whose `[from, to]` hold one instant.
pub(crate) fn most_at_once(calls: impl Iterator<Item = Call>) -> u32 {
    // An end sorts before a start of the same nanosecond: the one may have made room for the other.
    let mut edges: Vec<(u64, bool)> = calls.flat_map(|call| [(call.from, true), (call.to, false)]).collect();
    edges.sort_unstable();
    let (mut now, mut most) = (0_i64, 0);
    for (_, starts) in edges {
        now += if starts { 1 } else { -1 };
        most = most.max(now);
    }
    u32::try_from(most).unwrap()
}

/// What a rate entitles to between two instants when somebody always asks.
pub(crate) fn entitlement(from: u64, to: u64, interval: u64, burst: u32) -> u64 {
    (to - from) / interval + u64::from(burst)
}

/// The checks themselves can fail: a log with one call too many, or one a nanosecond too soon, is noticed.
pub(crate) fn the_checks_notice() -> String {
    let broken = |times: &[u64], burst| {
        let mut times = times.to_vec();
        std::panic::catch_unwind(move || no_window_is_broken("a made-up log", &mut times, 10, burst)).is_err()
    };
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let seen = [
        broken(&[0, 10, 20, 30], 1),
        broken(&[0, 0, 10, 20], 2),
        broken(&[0, 10, 19, 30], 1),
        broken(&[0, 0, 0], 2),
        broken(&[0, 0, 100, 100, 100], 2),
        broken(&[0, 1, 5, 9, 19], 3),
    ];
    std::panic::set_hook(hook);
    assert_eq!(seen, [false, false, true, true, true, true]);
    let call = |from, to| Call { trunk: 0, decided: 0, from, to };
    assert_eq!(most_at_once([call(0, 9), call(9, 12), call(10, 11)].into_iter()), 2);
    assert_eq!(most_at_once([call(0, 10), call(9, 12), call(10, 11)].into_iter()), 2);
    assert_eq!(most_at_once([call(0, 10), call(9, 12), call(9, 11)].into_iter()), 3);
    String::new()
}
