-- The history has no ids of purchases: they are numbered by customer. Purchases of a customer that
-- are alike in everything are interchangeable, so the numbers do not depend on the order of the file.
SELECT
    customer_id || '-' || CAST(
        row_number() OVER (PARTITION BY customer_id ORDER BY date, amount, quantity) AS VARCHAR
    ) AS purchase_id,
    customer_id,
    {{ kinfold.utc('date') }} AS purchased_at,
    quantity,
    amount
FROM {{ source('cdnow', 'purchases') }}
