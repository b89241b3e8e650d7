-- Of p2, the clear of the CRM is later than what the website said; what the CRM said afterwards stands.
SELECT *
FROM {{ ref('golden_all') }}
WHERE canonical_id = 'p2' AND (value <> 'Lima' OR claims <> 1)
