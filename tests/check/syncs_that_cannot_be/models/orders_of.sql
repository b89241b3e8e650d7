SELECT customer, amount FROM {{ ref('orders') }}
