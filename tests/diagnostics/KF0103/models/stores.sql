SELECT 'Cologne' AS city
