-- Every statement about an attribute of each rule.
SELECT
    s.person AS canonical_id,
    a.attribute,
    s.value,
    s.cleared,
    s.source,
    s.record_id,
    s.observed_at
FROM {{ ref('said') }} AS s
CROSS JOIN (VALUES
    ('source_priority'), ('most_recent'), ('first'), ('most_frequent'), ('longest'), ('shortest'), ('max'), ('min'),
    ('max_number'), ('min_number'), ('three'), ('frequent_then_first')
) AS a (attribute)
