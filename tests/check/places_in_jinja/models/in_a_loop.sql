SELECT
    order_id
    {% for column in ['amount', 'placed_no'] %}
    , max({{ column }}) AS last_{{ column }}
    , min(shipped_on) AS first_shipped_on
    {% endfor %}
FROM {{ ref('orders') }}
GROUP BY order_id
