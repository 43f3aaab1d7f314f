//! Bars in plain SVG: what a call costs, kind by kind and world by world, with the spread as a thin line.
//!
//! It must never scale away a difference: all bars of a picture start at nought and share one scale.

use std::fmt::Write as _;

use super::figures::Spread;

/// Bars under a heading.
#[derive(Clone, Debug)]
pub struct Group {
    /// The heading.
    pub title: String,
    /// Name, value, and whether it is ours.
    pub bars: Vec<(String, Spread, bool)>,
}

const WIDTH: f64 = 860.0;
const LABELS: f64 = 250.0;
const BAR: f64 = 16.0;
const STEP: f64 = 22.0;
const HEAD: f64 = 34.0;

/// Draws groups of horizontal bars below each other. `unit` follows each value.
#[must_use]
pub fn bars(title: &str, unit: &str, groups: &[Group]) -> String {
    let greatest =
        groups.iter().flat_map(|group| &group.bars).map(|(_, value, _)| value.high).fold(1.0, f64::max);
    let scale = (WIDTH - LABELS - 110.0) / greatest;
    let rows: usize = groups.iter().map(|group| group.bars.len()).sum();
    let height = 40.0 + HEAD * groups.len() as f64 + STEP * rows as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"10\" y=\"22\" font-size=\"15\" font-weight=\"bold\">{}</text>\n",
        escaped(title)
    );
    let mut y = 40.0;
    for group in groups {
        let _ = writeln!(
            svg,
            "<text x=\"10\" y=\"{}\" font-weight=\"bold\">{}</text>",
            y + 20.0,
            escaped(&group.title)
        );
        y += HEAD;
        for (label, value, ours) in &group.bars {
            let (fill, middle) = (if *ours { "#1b7f5c" } else { "#9aa5b1" }, y + BAR / 2.0);
            let length = value.median * scale;
            let (low, high) = (LABELS + value.low * scale, LABELS + value.high * scale);
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n\
                 <rect x=\"{LABELS}\" y=\"{y}\" width=\"{length:.1}\" height=\"{BAR}\" fill=\"{fill}\"/>\n\
                 <line x1=\"{low:.1}\" x2=\"{high:.1}\" y1=\"{middle}\" y2=\"{middle}\" stroke=\"#222222\"/>\n\
                 <text x=\"{:.1}\" y=\"{}\">{:.0} {}</text>",
                LABELS - 8.0,
                middle + 4.0,
                escaped(label),
                high + 6.0,
                middle + 4.0,
                value.median,
                escaped(unit),
            );
            y += STEP;
        }
    }
    svg + "</svg>\n"
}

/// A line over time, with its axis from nought: memory, descriptors, delays of a long run.
#[must_use]
pub fn line(title: &str, unit: &str, points: &[(f64, f64)]) -> String {
    const HEIGHT: f64 = 200.0;
    let last = points.iter().map(|(at, _)| *at).fold(1.0, f64::max);
    let greatest = points.iter().map(|(_, value)| *value).fold(1e-9, f64::max);
    let place = |(at, value): &(f64, f64)| {
        format!(
            "{:.1},{:.1}",
            10.0 + (WIDTH - 130.0) * at / last,
            40.0 + (HEIGHT - 60.0) * (1.0 - value / greatest)
        )
    };
    let path: Vec<String> = points.iter().map(place).collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"10\" y=\"22\" font-size=\"15\" font-weight=\"bold\">{}</text>\n\
         <polyline points=\"{}\" fill=\"none\" stroke=\"#1b7f5c\" stroke-width=\"1.5\"/>\n\
         <text x=\"{}\" y=\"46\">{greatest:.1} {}</text>\n<text x=\"{}\" y=\"{}\">{last:.0} s</text>\n</svg>\n",
        escaped(title),
        path.join(" "),
        WIDTH - 115.0,
        escaped(unit),
        WIDTH - 115.0,
        HEIGHT - 12.0,
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_value() {
        let value = |median| Spread { median, low: median, high: median };
        let bars_of =
            vec![("one <b>".to_owned(), value(100.0), true), ("two".to_owned(), value(200.0), false)];
        let svg = bars("Costs", "µs", &[Group { title: "all".to_owned(), bars: bars_of }]);
        let width = |fill: &str| -> f64 {
            let line = svg.lines().find(|line| line.contains(fill)).unwrap();
            line.split("width=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
        };
        assert!((width("#9aa5b1") - 2.0 * width("#1b7f5c")).abs() < 0.2);
        assert!(svg.contains("one &lt;b&gt;") && svg.ends_with("</svg>\n"));
    }

    #[test]
    fn a_line_goes_through_all_points() {
        let svg = line("Memory", "MiB", &[(0.0, 1.0), (5.0, 2.0), (10.0, 2.0)]);
        let points = svg.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(points.split(' ').count(), 3);
        assert!(points.starts_with("10.0,110.0"), "{points}");
    }
}
