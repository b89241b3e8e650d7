//! The order of nodes.

use super::fixture::Fixture;

#[test]
fn inputs_come_first() {
    let (project, _) = Fixture::new()
        .model("a", "select * from {{ ref('c') }}")
        .model("b", "select 1")
        .model("c", "select * from {{ ref('b') }}, {{ ref('b') }}")
        .render();
    let (order, circles) = project.order();
    let order: Vec<String> = order.iter().map(ToString::to_string).collect();
    assert_eq!(order, ["model.shop.b", "model.shop.c", "model.shop.a"]);
    assert_eq!(circles, []);
}

#[test]
fn what_is_outside_of_a_circle_keeps_its_place() {
    let (project, _) = Fixture::new()
        .model("a", "{{ ref('b') }}")
        .model("b", "{{ ref('a') }}")
        .model("below", "{{ ref('a') }} {{ ref('root') }}")
        .model("root", "select 1")
        .model("sound", "{{ ref('root') }}")
        .render();
    let (order, circles) = project.order();
    let order: Vec<String> = order.iter().map(ToString::to_string).collect();
    assert_eq!(order, ["model.shop.root", "model.shop.sound"]);
    assert_eq!(circles.len(), 1);
}

#[test]
fn each_circle_is_told_once_with_its_path() {
    let fixture = Fixture::new()
        .model("a", "select * from\n {{ ref('b') }}")
        .model("b", "{{ ref('c') }}")
        .model("c", "{{ ref('a') }} {{ ref('b') }}")
        .model("reader", "{{ ref('a') }}")
        .model("x", "{{ ref('x') }}");
    assert_eq!(
        fixture.problems(),
        [
            "KF0320 models/a.sql:2:5 nodes read each other in a circle: `a` → `b` → `c` → `a` \
             | models/b.sql:1:4 and here | models/c.sql:1:4 and here ? remove one of these reads",
            "KF0320 models/x.sql:1:4 nodes read each other in a circle: `x` → `x` ? remove one of these reads",
        ]
    );
}
