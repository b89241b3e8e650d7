DELETE FROM {{ ref('orders') }}
