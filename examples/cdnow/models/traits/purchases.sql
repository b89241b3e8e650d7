-- Purchases with the customer's canonical id, in the form that the standard package reads.
SELECT
    r.canonical_id,
    p.customer_id,
    p.purchase_id,
    p.purchased_at AS ordered_at,
    p.quantity,
    p.amount
FROM {{ ref('stg_purchases') }} AS p
INNER JOIN {{ ref('customer__records') }} AS r
    ON r.source = 'cdnow' AND r.record_id = p.purchase_id
