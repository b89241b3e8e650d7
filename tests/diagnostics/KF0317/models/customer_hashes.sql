SELECT sha256(concat(customer_id, '{{ env_var('DBT_ENV_SECRET_SALT', 'none') }}')) AS customer_hash
FROM {{ ref('orders') }}
