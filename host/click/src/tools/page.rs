//! A configuration as an HTML page: the graph as SVG, and the elements with their
//! arguments.

use click_language::Graph;

const WIDTH: usize = 200;
const HEIGHT: usize = 36;
const GAP_X: usize = 24;
const GAP_Y: usize = 44;

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

/// Rank of each element: one below the lowest element that leads to it, loops left out.
fn ranks(graph: &Graph) -> Vec<usize> {
    let count = graph.elements.len();
    let mut ranks = vec![0; count];
    // Longest paths settle after as many rounds as there are elements; connections that
    // would go on raising ranks after that lie on loops.
    for _ in 0..count.min(200) {
        let mut changed = false;
        for link in &graph.connections {
            let (from, to) = (link.from.element, link.to.element);
            if from < to && ranks[to] <= ranks[from] {
                ranks[to] = ranks[from] + 1;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    ranks
}

/// The page.
pub fn html(graph: &Graph, title: &str) -> String {
    let ranks = ranks(graph);
    let mut columns = vec![0; ranks.iter().max().map_or(0, |most| most + 1)];
    let mut places = Vec::with_capacity(ranks.len());
    for &rank in &ranks {
        places.push((GAP_X + columns[rank] * (WIDTH + GAP_X), GAP_Y / 2 + rank * (HEIGHT + GAP_Y)));
        columns[rank] += 1;
    }
    let width = GAP_X + columns.iter().max().copied().unwrap_or(0) * (WIDTH + GAP_X);
    let height = GAP_Y / 2 + columns.len() * (HEIGHT + GAP_Y);
    let mut svg = String::new();
    for link in &graph.connections {
        let ((x1, y1), (x2, y2)) = (places[link.from.element], places[link.to.element]);
        let (x1, y1) = (x1 + WIDTH / 2 + 8 * link.from.port.min(10), y1 + HEIGHT);
        let x2 = x2 + WIDTH / 2 + 8 * link.to.port.min(10);
        let middle = (y1 + y2) / 2;
        svg.push_str(&format!(
            "<path class=\"link\" d=\"M{x1},{y1} C{x1},{middle} {x2},{middle} {x2},{y2}\" \
             marker-end=\"url(#arrow)\"><title>{} [{}] -&gt; [{}] {}</title></path>\n",
            escape(&graph.elements[link.from.element].name),
            link.from.port,
            link.to.port,
            escape(&graph.elements[link.to.element].name),
        ));
    }
    let mut table = String::new();
    for (element, (x, y)) in graph.elements.iter().zip(&places) {
        let (name, class) = (escape(&element.name), escape(&element.class));
        let short: String = element.name.chars().take(26).collect();
        svg.push_str(&format!(
            "<g><rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"4\"/>\
             <text x=\"{}\" y=\"{}\">{}</text><text class=\"class\" x=\"{}\" y=\"{}\">{class}</text>\
             <title>{name} :: {class}({})</title></g>\n",
            x + 8,
            y + 15,
            escape(&short),
            x + 8,
            y + 29,
            escape(&element.configuration),
        ));
        table.push_str(&format!(
            "<tr><td>{name}</td><td>{class}</td><td><code>{}</code></td><td>{}</td></tr>\n",
            escape(&element.configuration),
            escape(&element.landmark.to_string()),
        ));
    }
    format!(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>{title}</title><style>\n\
         body {{ font-family: sans-serif }} svg text {{ font-size: 12px }}\n\
         svg .class {{ fill: #555; font-size: 10px }} rect {{ fill: #eef; stroke: #558 }}\n\
         .link {{ fill: none; stroke: #558 }} td {{ vertical-align: top; padding: 2px 8px }}\n\
         </style></head><body><h1>{title}</h1>\n\
         <svg width=\"{width}\" height=\"{height}\"><defs><marker id=\"arrow\" refX=\"6\" refY=\"3\" \
         markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0,0 L6,3 L0,6 z\"/></marker>\
         </defs>\n{svg}</svg>\n<table><tr><th>element</th><th>class</th><th>arguments</th>\
         <th>place</th></tr>\n{table}</table></body></html>\n",
        title = escape(title),
    )
}
