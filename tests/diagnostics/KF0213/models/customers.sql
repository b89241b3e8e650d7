SELECT customer, sum(amount) AS spent FROM {{ ref('payments') }} GROUP BY customer
