SELECT order_id AS x,
  amount AS x FROM {{ ref('orders') }}
