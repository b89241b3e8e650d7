{% if var('country') not in ['de', 'at'] %}
  {{ exceptions.raise_compiler_error('country must be de or at') }}
{% endif %}
SELECT order_id FROM {{ ref('orders') }}
