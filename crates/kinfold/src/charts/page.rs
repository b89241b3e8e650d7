//! The page that shows the charts of a folder.

use std::fmt::Write as _;

use super::Chart;
use super::svg::escaped;

const STYLE: &str = "body{font-family:sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;\
background:#fff}figure{margin:2rem 0}img{max-width:100%;height:auto}figcaption{line-height:1.4}";

/// A page with these charts in their order.
pub fn page(heading: &str, introduction: &str, charts: &[Chart]) -> String {
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{heading}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<h1>{heading}</h1>\n<p>{}</p>\n",
        escaped(introduction),
        heading = escaped(heading),
    );
    for chart in charts {
        let _ = write!(
            html,
            "<figure>\n<img src=\"{}\" alt=\"{}\">\n<figcaption>{}</figcaption>\n</figure>\n",
            escaped(&chart.file),
            escaped(&chart.title),
            escaped(&chart.caption)
        );
    }
    html.push_str("</body>\n</html>\n");
    html
}
