//! The rules, letter by letter.

use super::{BEFORE, Sound, Word, is_vowel, one};

impl Word {
    /// What the letter at hand sounds like, with its neighbours.
    pub(super) fn sound(&self) -> Sound {
        match self.letter(0) {
            b'A' | b'E' | b'I' | b'O' | b'U' | b'Y' => one(if self.first() { "A" } else { "" }, 1),
            b'B' => one("P", self.doubled(b'B')),
            b'C' => self.c(),
            b'D' => self.d(),
            b'F' => one("F", self.doubled(b'F')),
            b'G' => self.g(),
            b'H' => self.h(),
            b'J' => self.j(),
            b'K' => one("K", self.doubled(b'K')),
            b'L' => self.l(),
            b'M' => self.m(),
            b'N' => one("N", self.doubled(b'N')),
            b'P' if self.letter(1) == b'H' => one("F", 2),
            b'P' => one("P", if self.ahead(1, &["P", "B"]) { 2 } else { 1 }),
            b'Q' => one("K", self.doubled(b'Q')),
            b'R' => self.r(),
            b'S' => self.s(),
            b'T' => self.t(),
            b'V' => one("F", self.doubled(b'V')),
            b'W' => self.w(),
            b'X' => self.x(),
            b'Z' => self.z(),
            _ => one("", 1),
        }
    }

    fn c(&self) -> Sound {
        let germanic = self.at > BEFORE + 1
            && !self.vowel_back(2)
            && self.back(1, &["ACH"])
            && self.letter(2) != b'I'
            && (self.letter(2) != b'E' || self.back(2, &["BACHER", "MACHER"]));
        if germanic {
            return one("K", 2);
        }
        if self.first() && self.here(&["CAESAR"]) {
            return one("S", 2);
        }
        if self.here(&["CHIA"]) {
            return one("K", 2);
        }
        if self.here(&["CH"]) {
            return self.ch();
        }
        if self.here(&["CZ"]) && !self.back(2, &["WICZ"]) {
            return ("S", "X", 2);
        }
        if self.ahead(1, &["CIA"]) {
            return one("X", 3);
        }
        if self.here(&["CC"]) && !(self.at == BEFORE + 1 && self.starts(&["M"])) {
            if !self.ahead(2, &["I", "E", "H"]) || self.ahead(2, &["HU"]) {
                return one("K", 2);
            }
            let hard =
                (self.at == BEFORE + 1 && self.starts(&["A"])) || self.back(1, &["UCCEE", "UCCES"]);
            return one(if hard { "KS" } else { "X" }, 3);
        }
        if self.here(&["CK", "CG", "CQ"]) {
            return one("K", 2);
        }
        if self.here(&["CIO", "CIE", "CIA"]) {
            return ("S", "X", 2);
        }
        if self.here(&["CI", "CE", "CY"]) {
            return one("S", 2);
        }
        let read = if self.ahead(1, &[" C", " Q", " G"]) {
            3
        } else if self.ahead(1, &["C", "K", "Q"]) && !self.ahead(1, &["CE", "CI"]) {
            2
        } else {
            1
        };
        one("K", read)
    }

    fn ch(&self) -> Sound {
        if !self.first() && self.here(&["CHAE"]) {
            return ("K", "X", 2);
        }
        let greek_start = self.first()
            && self.ahead(1, &["HARAC", "HARIS", "HOR", "HYM", "HIA", "HEM"])
            && !self.starts(&["CHORE"]);
        let before_consonant = (self.first() || self.back(1, &["A", "O", "U", "E"]))
            && self.ahead(2, &["L", "R", "N", "M", "B", "H", "F", "V", "W", " "]);
        if greek_start
            || self.germanic_start()
            || self.back(2, &["ORCHES", "ARCHIT", "ORCHID"])
            || self.ahead(2, &["T", "S"])
            || before_consonant
        {
            return one("K", 2);
        }
        if self.first() {
            one("X", 2)
        } else if self.starts(&["MC"]) {
            one("K", 2)
        } else {
            ("X", "K", 2)
        }
    }

    fn d(&self) -> Sound {
        if self.here(&["DG"]) {
            if self.ahead(2, &["I", "E", "Y"]) {
                one("J", 3)
            } else {
                one("TK", 2)
            }
        } else {
            one("T", if self.here(&["DT", "DD"]) { 2 } else { 1 })
        }
    }

    fn g(&self) -> Sound {
        if self.letter(1) == b'H' {
            return self.gh();
        }
        if self.letter(1) == b'N' {
            return if self.at == BEFORE + 1 && self.vowel_back(1) && !self.slavic_or_germanic {
                ("KN", "N", 2)
            } else if !self.ahead(2, &["EY"]) && !self.slavic_or_germanic {
                ("N", "KN", 2)
            } else {
                one("KN", 2)
            };
        }
        if self.ahead(1, &["LI"]) && !self.slavic_or_germanic {
            return ("KL", "L", 2);
        }
        const SOFT_AFTER_START: &[&str] = &[
            "Y", "ES", "EP", "EB", "EL", "EY", "IB", "IL", "IN", "IE", "EI", "ER",
        ];
        if self.first() && self.ahead(1, SOFT_AFTER_START) {
            return ("K", "J", 2);
        }
        if self.ahead(1, &["ER", "Y"])
            && !self.starts(&["DANGER", "RANGER", "MANGER"])
            && !self.back(1, &["E", "I", "RGY", "OGY"])
        {
            return ("K", "J", 2);
        }
        if self.ahead(1, &["E", "I", "Y"]) || self.back(1, &["AGGI", "OGGI"]) {
            return if self.germanic_start() || self.ahead(1, &["ET"]) {
                one("K", 2)
            } else if self.ahead(1, &["IER "]) {
                one("J", 2)
            } else {
                ("J", "K", 2)
            };
        }
        one("K", self.doubled(b'G'))
    }

    fn gh(&self) -> Sound {
        if self.first() {
            return one(if self.letter(2) == b'I' { "J" } else { "K" }, 2);
        }
        if !self.vowel_back(1) {
            return one("K", 2);
        }
        // As in Hugh, bough, Broughton.
        if self.back(2, &["B", "H", "D"])
            || self.back(3, &["B", "H", "D"])
            || self.back(4, &["B", "H"])
        {
            return one("", 2);
        }
        if self.back(1, &["U"]) && self.back(3, &["C", "G", "L", "R", "T"]) {
            one("F", 2)
        } else if self.back(1, &["I"]) {
            one("", 2)
        } else {
            one("K", 2)
        }
    }

    fn h(&self) -> Sound {
        if (self.first() || self.vowel_back(1)) && is_vowel(self.letter(1)) {
            one("H", 2)
        } else {
            one("", 1)
        }
    }

    fn j(&self) -> Sound {
        if self.here(&["JOSE"]) || self.starts(&["SAN "]) {
            let alone = self.first() && self.letter(4) == b' ';
            return if alone || self.starts(&["SAN "]) {
                one("H", 1)
            } else {
                ("J", "H", 1)
            };
        }
        let read = self.doubled(b'J');
        if self.first() {
            ("J", "A", read)
        } else if self.vowel_back(1) && !self.slavic_or_germanic && self.ahead(1, &["A", "O"]) {
            ("J", "H", read)
        } else if self.at == self.last {
            ("J", "", read)
        } else if !self.ahead(1, &["L", "T", "K", "S", "N", "M", "B", "Z"])
            && !self.back(1, &["S", "K", "L"])
        {
            one("J", read)
        } else {
            one("", read)
        }
    }

    fn l(&self) -> Sound {
        if self.letter(1) != b'L' {
            return one("L", 1);
        }
        let spanish_end = self.at + 2 == self.last && self.back(1, &["ILLO", "ILLA", "ALLE"]);
        let spanish_plural = self.back(1, &["ALLE"]) && self.ends(&["AS", "OS", "A", "O"]);
        (
            "L",
            if spanish_end || spanish_plural {
                ""
            } else {
                "L"
            },
            2,
        )
    }

    fn m(&self) -> Sound {
        let silent_b =
            self.back(1, &["UMB"]) && (self.at + 1 == self.last || self.ahead(2, &["ER"]));
        one("M", if silent_b { 2 } else { self.doubled(b'M') })
    }

    fn r(&self) -> Sound {
        let french = self.at == self.last
            && !self.slavic_or_germanic
            && self.back(2, &["IE"])
            && !self.back(4, &["ME", "MA"]);
        (if french { "" } else { "R" }, "R", self.doubled(b'R'))
    }

    fn s(&self) -> Sound {
        if self.back(1, &["ISL", "YSL"]) {
            return one("", 1);
        }
        if self.first() && self.here(&["SUGAR"]) {
            return ("X", "S", 1);
        }
        if self.here(&["SH"]) {
            let germanic = self.ahead(1, &["HEIM", "HOEK", "HOLM", "HOLZ"]);
            return one(if germanic { "S" } else { "X" }, 2);
        }
        if self.here(&["SIO", "SIA"]) {
            return ("S", if self.slavic_or_germanic { "S" } else { "X" }, 3);
        }
        if self.letter(1) == b'Z' {
            return ("S", "X", 2);
        }
        if self.first() && self.ahead(1, &["M", "N", "L", "W"]) {
            return ("S", "X", 1);
        }
        if self.here(&["SCH"]) {
            return if self.ahead(3, &["ER", "EN"]) {
                ("X", "SK", 3)
            } else if self.ahead(3, &["OO", "UY", "ED", "EM"]) {
                one("SK", 3)
            } else if self.first() && !is_vowel(self.letter(3)) && self.letter(3) != b'W' {
                ("X", "S", 3)
            } else {
                one("X", 3)
            };
        }
        if self.here(&["SC"]) {
            let soft = self.ahead(2, &["I", "E", "Y"]);
            return one(if soft { "S" } else { "SK" }, 3);
        }
        let french = self.at == self.last && self.back(2, &["AI", "OI"]);
        let read = if self.ahead(1, &["S", "Z"]) { 2 } else { 1 };
        (if french { "" } else { "S" }, "S", read)
    }

    fn t(&self) -> Sound {
        if self.here(&["TION", "TIA", "TCH"]) {
            return one("X", 3);
        }
        if self.here(&["TH", "TTH"]) {
            return if self.ahead(2, &["OM", "AM"]) || self.germanic_start() {
                one("T", 2)
            } else {
                ("0", "T", 2)
            };
        }
        one("T", if self.ahead(1, &["T", "D"]) { 2 } else { 1 })
    }

    fn w(&self) -> Sound {
        if self.here(&["WR"]) {
            return one("R", 2);
        }
        if self.first() && is_vowel(self.letter(1)) {
            return ("A", "F", 1);
        }
        if self.first() && self.here(&["WH"]) {
            return one("A", 1);
        }
        let polish = self.back(1, &["EWSKI", "EWSKY", "OWSKI", "OWSKY"]);
        if (self.at == self.last && self.vowel_back(1)) || polish || self.starts(&["SCH"]) {
            return ("", "F", 1);
        }
        if self.here(&["WICZ", "WITZ"]) {
            return ("TS", "FX", 4);
        }
        one("", 1)
    }

    fn x(&self) -> Sound {
        let french =
            self.at == self.last && (self.back(3, &["IAU", "EAU"]) || self.back(2, &["AU", "OU"]));
        let read = if self.ahead(1, &["C", "X"]) { 2 } else { 1 };
        one(if french { "" } else { "KS" }, read)
    }

    fn z(&self) -> Sound {
        if self.letter(1) == b'H' {
            return one("J", 2);
        }
        let affricate = self.ahead(1, &["ZO", "ZI", "ZA"])
            || (self.slavic_or_germanic && !self.first() && !self.back(1, &["T"]));
        ("S", if affricate { "TS" } else { "S" }, self.doubled(b'Z'))
    }
}
