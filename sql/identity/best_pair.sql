-- name: identity.best_pair
-- invariant: the heaviest stored pair of a linkage with one record of each of two people
-- parameter: pairs: the linkage; records: companion of the identity; one, other: canonical ids as literals
WITH people AS (
    SELECT source, record_id, canonical_id FROM {records} WHERE canonical_id IN ({one}, {other})
)
SELECT p.*
FROM {pairs} AS p
JOIN people AS l ON p.source_l = l.source AND p.record_id_l = l.record_id
JOIN people AS r ON p.source_r = r.source AND p.record_id_r = r.record_id
WHERE l.canonical_id <> r.canonical_id
ORDER BY p.match_weight DESC, p.source_l, p.record_id_l, p.source_r, p.record_id_r
LIMIT 1
