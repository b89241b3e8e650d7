-- name: identity.blocks
-- invariant: pairs within blocks of at most max_block records, records in the largest block, blocks that are larger
-- parameter: query: the records; keys: expressions as k0, k1, …; filled, group: over these names
SELECT
    CAST(sum(CASE WHEN n <= {max_block} THEN n * (n - 1) / 2 ELSE 0 END) AS BIGINT) AS pairs,
    CAST(max(n) AS BIGINT) AS largest_block,
    CAST(sum(CASE WHEN n > {max_block} THEN 1 ELSE 0 END) AS BIGINT) AS left_out
FROM (
    SELECT CAST(count(*) AS BIGINT) AS n
    FROM (SELECT {keys} FROM ({query}) AS m) AS k
    WHERE {filled}
    GROUP BY {group}
) AS blocks
