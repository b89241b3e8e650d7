SELECT sha256(concat(customer_id, 'shop')) AS customer_hash
FROM {{ ref('orders') }}
