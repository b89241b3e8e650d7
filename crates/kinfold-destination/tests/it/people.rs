//! Identifiers of people as advertising platforms want them: the manifests against the values that the platforms have
//! published.

use kinfold_destination::expression::Scope;
use kinfold_destination::manifest::Identifier;
use kinfold_destination::shipped;
use serde_json::{Value, json};

fn identifier(destination: &str, object: &str, name: &str) -> Identifier {
    let manifest = shipped(destination).unwrap().manifest.unwrap();
    let object = manifest.object(object).unwrap();
    let mut identifiers = object.identifiers.iter();
    let found = identifiers.find(|identifier| identifier.name == name);
    let found = found.unwrap_or_else(|| panic!("{destination} has no {name}"));
    found.clone()
}

fn values(identifier: &Identifier, value: &Value) -> Value {
    identifier.values(value, &Scope::default())
}

const JOHN: &str = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f";
const PHONE: &str = "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176";
const PHONE_WITH_PLUS: &str = "1e231c66011e7a2d867a9cfae267a6aff103cf4913640b6e71a99850fc0ffbc8";
const CLOUDY: &str = "223ebda6f6889b1494551ba902d9d381daf2f642bae055888e96343d53e9f9c4";
const NYC: &str = "f109a2a632fbcea5fc82049f50beed3d8621bf9034399f437fb622222acccdac";
const GOOGLE_PHONE: &str = "fb4f73a6ec5fdb7077d564cdd22c3554b43ce49168550c3b12c547b78c517b30";

/// Meta prints the hashes of its examples. Google prints the clean texts of its own, and these are their hashes.
#[test]
fn published_examples_become_what_the_platforms_say() {
    const META: [(&str, &str, &str); 10] = [
        ("email", " John_Smith@gmail.com ", JOHN),
        ("phone", "+1(650)555-1212", PHONE),
        (
            "first_name",
            "Mary",
            "6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec",
        ),
        (
            "first_name",
            "정",
            "8fa8cd9c440be61d0151429310034083132b35975c4bea67fdd74158eb51db14",
        ),
        (
            "last_name",
            "Valéry",
            "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c",
        ),
        (
            "city",
            "New York",
            "350c754ba4d38897693aa077ef43072a859d23f613443133fecbbd90a3512ca5",
        ),
        (
            "state",
            "C.A.",
            "6959097001d10501ac7d54c0bdb8db61420f658f2922cc26e46d536119a31126",
        ),
        (
            "zip",
            "10001",
            "e443169117a184f91186b401133b20be670c7c0896f9886075e5d9b81e9d076b",
        ),
        (
            "country",
            "US",
            "79adb2a2fce5c6ba215fe5f27f532d4e7edbac4b6a5e09e1ef3a08084a904621",
        ),
        (
            "gender",
            "Female",
            "252f10c83610ebca1a059c0bae8255eba2f95be4d1d7bcfa89d7248a82d9f111",
        ),
    ];
    for (destination, object) in [
        ("meta_audiences", "audience"),
        ("meta_conversions", "event"),
    ] {
        for (name, value, expected) in META {
            let found = values(&identifier(destination, object, name), &json!(value));
            assert_eq!(found, json!(expected), "{destination} {name} {value}");
        }
    }
    for (name, value, expected) in [
        ("email", "cloudy.sanfrancisco+shopping@gmail.com", CLOUDY),
        ("email", "user.name+NYC@Example.com", NYC),
        ("phone", "+1 (800)555-0100", GOOGLE_PHONE),
        // Not hashed there.
        ("country", "us", "US"),
        ("postal_code", "94103", "94103"),
    ] {
        let identifier = identifier("google_data_manager", "audience", name);
        let found = values(&identifier, &json!(value));
        assert_eq!(found, json!(expected), "{name} {value}");
    }
}

/// TikTok and LinkedIn print no hashes. They ask for addresses without space in lower case, at whatever mail service,
/// and TikTok for telephone numbers with a plus, so the same examples have these.
#[test]
fn dots_and_tags_count_where_nobody_says_otherwise() {
    for (destination, object) in [
        ("tiktok_audiences", "audience"),
        ("tiktok_audiences", "file_audience"),
        ("linkedin_audiences", "audience"),
        ("pinterest_audiences", "audience"),
        ("microsoft_ads_audiences", "audience"),
    ] {
        let email = identifier(destination, object, "email");
        for (value, expected) in [
            (" User.Name+NYC@Example.com", NYC),
            (" John_Smith@gmail.com ", JOHN),
        ] {
            assert_eq!(
                values(&email, &json!(value)),
                json!(expected),
                "{destination}"
            );
        }
        let dots = values(&email, &json!("cloudy.sanfrancisco+shopping@gmail.com"));
        assert_ne!(dots, json!(CLOUDY), "{destination}");
        if destination == "tiktok_audiences" {
            let phone = identifier(destination, object, "phone");
            let found = values(&phone, &json!("+1(650)555-1212"));
            assert_eq!(found, json!(PHONE_WITH_PLUS));
        }
    }
}

/// Whatever a column holds, each value is looked at by itself.
#[test]
fn hashed_plain_and_empty_values_stand_side_by_side() {
    for destination in [
        "meta_audiences",
        "google_data_manager",
        "tiktok_audiences",
        "linkedin_audiences",
    ] {
        let email = identifier(destination, "audience", "email");
        let upper = NYC.to_uppercase();
        for (value, expected) in [
            (json!(NYC), json!(NYC)),
            (json!(upper), json!(NYC)),
            (json!("User.Name+NYC@example.com"), json!(NYC)),
            (
                json!(["user.name+nyc@example.com", upper, JOHN]),
                json!([NYC, JOHN]),
            ),
            (json!(["", null, "no address", JOHN]), json!([JOHN])),
            (json!(""), json!(null)),
            (json!(["", " "]), json!(null)),
        ] {
            assert_eq!(values(&email, &value), expected, "{destination} {value}");
        }
    }
}
