package inference

import "usher/models"

// topic is a label with the phrases that stand for it when there is no model.
type topic struct{ models.Label }

func newTopic(label string, actionable bool, zhTitle, enTitle string, zh, en []string) topic {
	return topic{models.Label{
		Label: label, Actionable: actionable,
		Title:    map[string]string{"zh": zhTitle, "en": enTitle},
		Examples: map[string][]string{"zh": zh, "en": en},
	}}
}

// hashingTopics are the labels of the service taxonomy, in the order of its
// bundles, with phrases for hashing to compare.
func hashingTopics() []topic {
	return []topic{
		newTopic("presales", true, "购买前咨询", "Questions before buying",
			[]string{
				"有没有现货", "这款和那款有什么区别", "多少钱一件", "尺码怎么选", "支持哪些型号", "能不能试用", "想买一台推荐一下",
				"有什么颜色可以选", "材质是什么", "报价单", "产品参数介绍", "适合多大的孩子", "什么时候补货上架", "售前咨询 产品选购",
			},
			[]string{
				"do you have it in stock", "difference between these two models", "how much does it cost price", "which size should I choose",
				"is it compatible with", "can I try it before buying", "recommend a product", "what colours are available", "what is it made of",
				"ask for a quote", "product specifications features", "when will it be back in stock", "presales product advice", "do you sell",
			}),
		newTopic("order_logistics", true, "订单与物流", "Order and delivery",
			[]string{
				"快递到哪了", "什么时候发货", "物流一直不动", "包裹还没收到", "配送员没送上门", "显示签收但没收到", "查一下订单", "催一下快递",
				"多久能送到", "运单号查不到", "少发了一件", "快递丢了", "物流查询 配送", "订单状态",
			},
			[]string{
				"where is my parcel", "when will my order ship", "tracking number does not update", "package has not arrived", "delivered but I did not get it",
				"delivery is late", "check my order status", "how long does shipping take", "courier lost my package", "missing item in my parcel",
				"delivery driver did not come", "shipping and delivery tracking", "estimated delivery date", "still waiting for my order to arrive",
			}),
		newTopic("return_refund", true, "退换货与退款", "Return, exchange or refund",
			[]string{
				"我要退货", "退款什么时候到账", "申请退款一直没有处理", "想换一个尺码", "收到的东西坏了", "质量不好要退", "退货运费谁出", "退款被拒绝了",
				"换货进度", "发错货了要换", "七天无理由退货", "保修维修", "售后 退换货 退款与退货", "退的钱还没收到",
			},
			[]string{
				"I want to return this item", "my refund has not arrived", "request a refund", "exchange for another size", "the item arrived broken",
				"damaged product replacement", "who pays return shipping", "refund was rejected", "return label", "received the wrong item",
				"refunds and returns", "warranty repair", "send it back and get my money back", "how long does a refund take",
			}),
		newTopic("payment_invoice", true, "付款、账单与发票", "Payment, bill or invoice",
			[]string{
				"开一张发票", "发票抬头写错了", "付款失败", "扣了两次钱", "账单对不上", "支付不了", "能不能分期付款", "银行卡付不了款", "专票和普票",
				"多收了费用", "电子发票发到邮箱", "微信支付 支付宝", "账单与发票 财务", "充值没有到账",
			},
			[]string{
				"I need an invoice", "wrong company name on the invoice", "payment failed", "charged twice", "the bill is wrong", "card was declined",
				"pay in instalments", "unexpected charge on my statement", "VAT receipt", "change my payment method", "billing and invoices",
				"pay by bank transfer", "extra fee on my bill", "top up did not arrive",
			}),
		newTopic("account_security", true, "账号与安全", "Account and security",
			[]string{
				"密码忘了", "登不上账号", "账号被盗", "收不到验证码", "换绑手机号", "账号被冻结", "注销账号", "异地登录提醒", "修改密码", "实名认证不通过",
				"怀疑被诈骗", "有人冒充客服", "账号安全 账户", "解除绑定",
			},
			[]string{
				"forgot my password", "cannot sign in to my account", "account was hacked", "verification code not received", "change my phone number",
				"account is locked", "delete my account", "suspicious login", "reset password", "identity verification failed", "I think this is a scam",
				"someone used my account", "account security", "two factor authentication",
			}),
		newTopic("tech_howto", true, "使用与故障", "Using it or a fault",
			[]string{
				"闪退打不开", "一打开就崩溃", "连不上无线网", "怎么安装", "设备故障没反应", "页面报错", "怎么设置", "更新以后用不了", "黑屏重启", "卡顿很慢",
				"无法充电", "蓝牙配对失败", "技术支持 故障排查", "App登录闪退",
			},
			[]string{
				"the app crashes", "it does not work anymore", "cannot connect to wifi", "how do I install", "device does not respond", "error message on the page",
				"how to set it up", "stopped working after the update", "black screen and restarts", "very slow and freezes", "does not charge",
				"bluetooth pairing fails", "technical support troubleshooting", "crash when I log in",
			}),
		newTopic("complaint", true, "投诉", "Complaint",
			[]string{
				"我要投诉", "态度太差", "非常不满意", "欺骗消费者", "拖了这么久没人管", "曝光你们", "打12315举报", "要求赔偿道歉", "太让人失望了", "垃圾服务",
				"投诉处理 纠纷", "再也不买了", "敷衍我", "给个说法",
			},
			[]string{
				"I want to complain", "rude staff", "very dissatisfied", "this is unacceptable", "nobody helps me", "I will report you", "I demand compensation and an apology",
				"so disappointed", "worst service ever", "you are cheating customers", "complaints handling escalation", "never buying again", "terrible experience",
				"formal complaint",
			}),
		newTopic("cancel_change", true, "取消或修改订单", "Cancel or change an order",
			[]string{
				"取消订单", "地址填错了要改", "不想要了还没发货", "修改收货人电话", "改一下预约时间", "退订会员", "下错单了", "改成别的颜色", "取消自动续费",
				"拍错了怎么改", "改签", "数量改成两个", "取消与修改", "撤销申请",
			},
			[]string{
				"cancel my order", "change the delivery address", "I no longer want it please stop the order", "change the phone number of the recipient",
				"move my appointment", "cancel my subscription", "ordered by mistake", "change the colour of my order", "turn off auto renewal",
				"modify my order", "reschedule my booking", "change the quantity", "cancellations and changes", "undo my request",
			}),
		newTopic("promotion", true, "优惠与会员", "Offers, coupons and points",
			[]string{
				"优惠券用不了", "有什么活动", "积分怎么用", "降价了能补差价吗", "会员权益", "满减没减", "打折吗", "红包领取", "价保", "赠品没有给",
				"新人优惠", "积分过期", "优惠活动 会员", "抽奖中奖",
			},
			[]string{
				"coupon does not work", "any discount or sale", "how to use my points", "price dropped after I bought", "membership benefits", "promo code invalid",
				"is there a discount", "gift card balance", "price match", "free gift missing", "first order offer", "points expired", "offers and loyalty programme",
				"voucher",
			}),
		newTopic("human_agent", false, "人工客服", "Talk to a person",
			[]string{
				"转人工", "人工客服", "我要找真人", "接人工", "不要机器人", "叫客服来", "有人吗来个人", "人工服务", "打电话给我", "转接客服",
			},
			[]string{
				"talk to a human", "real person please", "connect me to an agent", "speak to a representative", "customer service agent", "no robots",
				"human support", "call me back", "live agent", "let me speak to someone",
			}),
		newTopic("chitchat", false, "闲聊", "Small talk",
			[]string{
				"你好", "在吗", "谢谢", "再见", "好的", "早上好", "嗯嗯", "辛苦了", "哈哈", "你是机器人吗", "晚安", "知道了",
			},
			[]string{
				"hello", "hi there", "thank you", "goodbye", "ok", "good morning", "are you there", "are you a robot", "great thanks", "bye", "good evening", "got it",
			}),
		newTopic("out_of_scope", false, "其他", "Something else",
			[]string{
				"天气怎么样", "讲个笑话", "今天股票", "播放音乐", "帮我写作文", "推荐餐厅", "谁是总统", "定个闹钟", "明天去哪玩", "招聘吗 投简历",
			},
			[]string{
				"what is the weather", "tell me a joke", "stock market today", "play some music", "write an essay", "recommend a restaurant", "who is the president",
				"set an alarm", "what is the capital of", "are you hiring",
			}),
	}
}
