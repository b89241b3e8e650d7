SELECT
    1 AS id, CAST('ann' AS VARCHAR) AS first_name, CAST(NULL AS VARCHAR) AS phone,
    CAST('Basel' AS VARCHAR) AS city, CAST(1.5 AS DOUBLE) AS score,
    TIMESTAMP '2026-01-01 00:00:00' AS seen_at, make_array('a', 'b') AS tags
