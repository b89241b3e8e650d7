-- name: erase.once_shared
-- params: {rows} what is read: columns, or a count; {same} a text of the row is the value
-- invariant: the rows of nobody who is erased, but for closed ones with a value of theirs under an id that was theirs once
SELECT {rows} FROM kinfold._run.rows AS t
LEFT ANTI JOIN kinfold._run.people AS p ON CAST(t.canonical_id AS VARCHAR) = p.canonical_id
LEFT ANTI JOIN kinfold._run.shared AS s
    ON t.canonical_id = s.canonical_id AND t.valid_to IS NOT NULL AND ({same})
